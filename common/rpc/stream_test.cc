#include <grpcpp/grpcpp.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "arcshard/v1/shard.grpc.pb.h"
#include "common/rpc/client_stream.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/server_stream.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;

using Sender = std::shared_ptr<StreamSender<v1::ShardMessage>>;

// Answers every message with its step. Refuses step 13, and closes the stream with OK at step 99.
class EchoHandler final : public StreamHandler<v1::WorkerMessage> {
 public:
  EchoHandler(Sender sender, std::function<void(absl::Status)> on_closed)
      : sender_(std::move(sender)), on_closed_(std::move(on_closed)) {}
  absl::Status OnMessage(const v1::WorkerMessage& message) override {
    if (message.key().step() == 13) return absl::FailedPreconditionError("step 13 was decided");
    v1::ShardMessage answer;
    *answer.mutable_key() = message.key();
    sender_->Send(std::move(answer));
    if (message.key().step() == 99) sender_->Close(absl::OkStatus());
    return absl::OkStatus();
  }
  void OnClosed(const absl::Status& status) override { on_closed_(status); }

 private:
  const Sender sender_;
  const std::function<void(absl::Status)> on_closed_;
};

// A status that a test waits for.
class Promise {
 public:
  void Set(absl::Status status) {
    MutexLock lock(&mutex_);
    status_ = std::move(status);
    changed_.NotifyAll();
  }
  absl::Status Await() {
    MutexLock lock(&mutex_);
    while (!status_.has_value()) changed_.Wait(&mutex_);
    return *status_;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  std::optional<absl::Status> status_ ABSL_GUARDED_BY(mutex_);
};

class EchoService final : public v1::Shard::CallbackService {
 public:
  grpc::ServerBidiReactor<v1::WorkerMessage, v1::ShardMessage>* Exchange(grpc::CallbackServerContext*) override {
    return ServerStream<v1::WorkerMessage, v1::ShardMessage>::Start([this](Sender sender) {
      return std::make_unique<EchoHandler>(std::move(sender),
                                           [this](absl::Status status) { closed.Set(std::move(status)); });
    });
  }
  Promise closed;
};

class Collector final : public StreamHandler<v1::ShardMessage> {
 public:
  Collector(std::vector<uint64_t>* steps, Promise* heard, Promise* closed)
      : steps_(steps), heard_(heard), closed_(closed) {}
  absl::Status OnMessage(const v1::ShardMessage& message) override {
    steps_->push_back(message.key().step());
    heard_->Set(absl::OkStatus());
    return message.key().step() == 66 ? absl::InternalError("66 is not wanted") : absl::OkStatus();
  }
  void OnClosed(const absl::Status& status) override { closed_->Set(status); }

 private:
  std::vector<uint64_t>* const steps_;
  Promise* const heard_;
  Promise* const closed_;
};

class StreamTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto server = RpcServer::Start("127.0.0.1:0", {&service_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::Shard::NewStub(MakeChannel(server_->address()));
    client_ = ClientStream<v1::WorkerMessage, v1::ShardMessage>::Start(
        std::make_unique<Collector>(&steps_, &heard_, &closed_),
        [&](grpc::ClientContext* context, auto* reactor) { stub_->async()->Exchange(context, reactor); });
  }
  bool Send(uint64_t step) {
    v1::WorkerMessage message;
    message.mutable_key()->set_step(step);
    return client_->Send(std::move(message));
  }

  EchoService service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::Shard::Stub> stub_;
  std::vector<uint64_t> steps_;
  Promise heard_;  // set by the first answer
  Promise closed_;
  std::shared_ptr<StreamSender<v1::WorkerMessage>> client_;
};

TEST_F(StreamTest, MessagesArriveInOrderAndAHalfCloseEndsTheStreamWithOk) {
  for (uint64_t step = 1; step <= 5; ++step) EXPECT_TRUE(Send(step));
  client_->Close(absl::OkStatus());
  EXPECT_FALSE(Send(6));
  EXPECT_TRUE(closed_.Await().ok());
  EXPECT_TRUE(service_.closed.Await().ok());
  EXPECT_THAT(steps_, ElementsAre(1, 2, 3, 4, 5));
}

TEST_F(StreamTest, AStatusOfTheHandlerReachesTheClientAsItIs) {
  Send(1);
  Send(13);
  EXPECT_EQ(closed_.Await(), absl::FailedPreconditionError("step 13 was decided"));
  EXPECT_EQ(service_.closed.Await(), absl::FailedPreconditionError("step 13 was decided"));
  EXPECT_FALSE(Send(2));
}

TEST_F(StreamTest, TheServerMayCloseInOrderAfterItsLastMessage) {
  Send(99);
  EXPECT_TRUE(closed_.Await().ok());
  EXPECT_THAT(steps_, ElementsAre(99));
}

TEST_F(StreamTest, AnErrorOfTheClientsHandlerCancelsTheCall) {
  Send(66);
  EXPECT_EQ(closed_.Await(), absl::InternalError("66 is not wanted"));
  EXPECT_EQ(service_.closed.Await().code(), absl::StatusCode::kCancelled);
}

TEST_F(StreamTest, ACancelledClientBreaksTheStreamAtTheServer) {
  Send(1);
  EXPECT_TRUE(heard_.Await().ok());
  client_->Close(absl::CancelledError(""));
  EXPECT_FALSE(closed_.Await().ok());
  EXPECT_EQ(service_.closed.Await().code(), absl::StatusCode::kCancelled);
}

TEST_F(StreamTest, AStoppedServerEndsTheStreamAtTheClient) {
  Send(1);
  EXPECT_TRUE(heard_.Await().ok());
  server_->Shutdown(absl::ZeroDuration());
  EXPECT_FALSE(closed_.Await().ok());
}

}  // namespace
}  // namespace arcshard
