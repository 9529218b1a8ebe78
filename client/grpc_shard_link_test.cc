#include "client/grpc_shard_link.h"

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "arcshard/v1/shard.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/base/testing/open_resources.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/server_stream.h"
#include "common/rpc/tensor_codec.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// What a link adds to shard.proto's promises, which tests/shard_contract_test.cc checks.
namespace arcshard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::StartsWith;

using Sender = std::shared_ptr<StreamSender<v1::ShardMessage>>;

constexpr int64_t kDim = 2;

// Answers an embedding of one piece with z = 1, U = the embedding as it came, and no own classes; ends the stream at a
// gradient.
class EchoHandler final : public StreamHandler<v1::WorkerMessage> {
 public:
  EchoHandler(Sender sender, bool answers_in_float32)
      : sender_(std::move(sender)), answers_in_float32_(answers_in_float32) {}
  absl::Status OnMessage(const v1::WorkerMessage& message) override {
    if (message.has_gradient()) return absl::FailedPreconditionError("an older view");
    if (!message.has_embedding()) return absl::OkStatus();
    const v1::Tensor& embedding = message.embedding().embedding();
    const std::vector<float> ones(embedding.shape(0), 1.0f);
    v1::ShardMessage answer;
    *answer.mutable_key() = message.key();
    *answer.mutable_statistics()->mutable_z() = EncodeTensor<float>({embedding.shape(0)}, ones);
    *answer.mutable_statistics()->mutable_u() = embedding;
    if (answers_in_float32_) answer.mutable_statistics()->mutable_u()->set_dtype(v1::DTYPE_FLOAT32);
    sender_->Send(std::move(answer));
    return absl::OkStatus();
  }
  void OnClosed(const absl::Status&) override {}

 private:
  const Sender sender_;
  const bool answers_in_float32_;
};

class EchoShard final : public v1::Shard::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::WorkerMessage, v1::ShardMessage>* Exchange(grpc::CallbackServerContext*) override {
    return ServerStream<v1::WorkerMessage, v1::ShardMessage>::Start(
        [this](Sender sender) { return std::make_unique<EchoHandler>(std::move(sender), answers_in_float32); });
  }

  bool answers_in_float32 = false;
};

class Recorder final : public ShardLinkEvents {
 public:
  void OnStatistics(size_t shard, const Key& key, ShardStatistics* statistics) override {
    Note(absl::StrCat("shard ", shard, " answers ", ToString(key), ": ", absl::StrJoin(statistics->u, ", ")));
  }
  void OnLost(size_t shard, const absl::Status& status) override {
    Note(absl::StrCat("shard ", shard, " is lost: ", status.ToString()));
  }
  std::vector<std::string> Await(size_t count) {
    MutexLock lock(&mutex_);
    while (heard_.size() < count) changed_.Wait(&mutex_);
    return heard_;
  }

 private:
  void Note(std::string what) {
    MutexLock lock(&mutex_);
    heard_.push_back(std::move(what));
    changed_.NotifyAll();
  }
  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> heard_ ABSL_GUARDED_BY(mutex_);
};

class GrpcShardLinkTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = RpcServer::Start("127.0.0.1:0", {&shard_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  ShardLinkOptions OptionsOf(uint64_t view) {
    ShardLinkOptions options;
    options.shard = 7;
    options.address = server_->address();
    options.dim = kDim;
    options.view = {1, view};
    return options;
  }
  std::unique_ptr<ShardLink> Connect(uint64_t view) {
    auto link = ConnectShard(OptionsOf(view), &recorder_);
    EXPECT_TRUE(link.ok()) << link.status();
    return *std::move(link);
  }

  EchoShard shard_;
  std::unique_ptr<RpcServer> server_;
  Recorder recorder_;
};

TEST_F(GrpcShardLinkTest, AnswersAndTheLossNameTheShardByItsId) {
  const auto link = Connect(1);
  link->SendEmbedding({{1, 1}, 5, 3}, {1, 2, 3, 4});
  recorder_.Await(1);
  link->SendGradient({{1, 1}, 5, 3}, {1, 2}, {3, 4});
  EXPECT_THAT(recorder_.Await(2), ElementsAre("shard 7 answers view 1.1, step 5, micro-batch 3: 1, 2, 3, 4",
                                              absl::StrCat("shard 7 is lost: FAILED_PRECONDITION: an older view (at ",
                                                           server_->address(), ")")));
}

TEST_F(GrpcShardLinkTest, FloatsGoBothWaysAsTheTypeThatTheRunHasChosen) {
  ShardLinkOptions options = OptionsOf(1);
  options.wire = WireType::kBfloat16;
  const auto link = ConnectShard(options, &recorder_);
  ASSERT_TRUE(link.ok()) << link.status();
  (*link)->SendEmbedding({{1, 1}, 5, 3}, {1, -2.5, 0.109375, 257});
  EXPECT_THAT(recorder_.Await(1),
              ElementsAre("shard 7 answers view 1.1, step 5, micro-batch 3: 1, -2.5, 0.109375, 256"));
}

TEST_F(GrpcShardLinkTest, StatisticsOfAnotherTypeEndTheLink) {
  shard_.answers_in_float32 = true;
  ShardLinkOptions options = OptionsOf(1);
  options.wire = WireType::kBfloat16;
  const auto link = ConnectShard(options, &recorder_);
  ASSERT_TRUE(link.ok()) << link.status();
  (*link)->SendEmbedding({{1, 1}, 5, 3}, {1, 2, 3, 4});
  EXPECT_THAT(recorder_.Await(1),
              ElementsAre(StartsWith("shard 7 is lost: INVALID_ARGUMENT: statistics.u has dtype DTYPE_FLOAT32, "
                                     "expected DTYPE_BFLOAT16")));
}

TEST_F(GrpcShardLinkTest, WhatIsSentOnALostLinkIsDropped) {
  const auto link = Connect(1);
  server_.reset();
  EXPECT_THAT(recorder_.Await(1).back(), StartsWith("shard 7 is lost: "));
  link->SendEmbedding({{1, 1}, 5, 3}, {1, 2, 3, 4});
  link->SendGradient({{1, 1}, 5, 3}, {1, 2}, {3, 4});
  EXPECT_EQ(recorder_.Await(1).size(), 1u);
}

TEST_F(GrpcShardLinkTest, ADestroyedLinkReportsNoLoss) {
  Connect(1).reset();
  EXPECT_EQ(recorder_.Await(0).size(), 0u);
}

TEST_F(GrpcShardLinkTest, AConnectionIsNotAwaitedAnyMoreOnceTheCheckFails) {
  ShardLinkOptions options = OptionsOf(2);
  options.address = "127.0.0.1:1";
  options.connect_timeout = absl::Hours(1);
  int asked = 0;
  options.check = [&asked] { return ++asked < 3 ? absl::OkStatus() : absl::CancelledError("view 1.3 is queued"); };
  EXPECT_EQ(ConnectShard(options, &recorder_).status(), absl::CancelledError("view 1.3 is queued"));
  EXPECT_EQ(asked, 3);
}

TEST_F(GrpcShardLinkTest, AShardThatDoesNotAnswerIsNamedByItsId) {
  ShardLinkOptions options = OptionsOf(2);
  options.address = "127.0.0.1:1";
  options.connect_timeout = absl::Milliseconds(50);
  EXPECT_THAT(std::string(ConnectShard(options, &recorder_).status().message()),
              StartsWith("waited 50ms for shard 7 at 127.0.0.1:1, which does not answer"));
}

TEST_F(GrpcShardLinkTest, TheLinksOfAHundredViewsLeaveNeitherConnectionsNorThreadsBehind) {
  OpenResources before;
  for (uint64_t view = 1; view <= 100; ++view) {
    if (view == 10) before = OpenResources::Now();
    const auto link = Connect(view);
    link->SendEmbedding({{1, view}, 1, 0}, {1, 2, 3, 4});
    recorder_.Await(view);
  }
  EXPECT_TRUE(LevelsOff(before, 20)) << OpenResources::Now() << ", after ten views " << before;
}

}  // namespace
}  // namespace arcshard::client
