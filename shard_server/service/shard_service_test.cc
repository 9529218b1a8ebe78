// ShardService over real gRPC on loopback: what a worker sends and receives, and what is refused.
#include "shard_server/service/shard_service.h"

#include <gmock/gmock.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>

#include <deque>
#include <numeric>
#include <optional>
#include <thread>

#include "common/base/clock.h"
#include "common/rpc/client_stream.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/tensor_codec.h"
#include "shard_server/state/executor.h"
#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A worker's end of the stream: the messages received, and how it ended.
class Client {
 public:
  explicit Client(int port) : Client(MakeChannel(absl::StrCat("127.0.0.1:", port))) {}
  explicit Client(const std::shared_ptr<grpc::Channel>& channel) {
    EXPECT_TRUE(AwaitConnected(channel.get(), "the shard", absl::Minutes(10)).ok());
    stub_ = v1::Shard::NewStub(channel);
    sender_ = ClientStream<v1::WorkerMessage, v1::ShardMessage>::Start(
        std::make_unique<Handler>(this),
        [this](grpc::ClientContext* context, auto* reactor) { stub_->async()->Exchange(context, reactor); });
  }
  ~Client() {
    sender_->Close(absl::CancelledError("over"));
    AwaitEnd().IgnoreError();
  }

  void Send(v1::WorkerMessage message) { sender_->Send(std::move(message)); }
  v1::ShardMessage Next() {
    MutexLock lock(&mutex_);
    while (messages_.empty() && !end_.has_value()) changed_.Wait(&mutex_);
    if (messages_.empty()) {
      ADD_FAILURE() << "the stream ended: " << *end_;
      return {};
    }
    v1::ShardMessage message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }
  absl::Status AwaitEnd() {
    MutexLock lock(&mutex_);
    while (!end_.has_value()) changed_.Wait(&mutex_);
    return *end_;
  }

 private:
  class Handler final : public StreamHandler<v1::ShardMessage> {
   public:
    explicit Handler(Client* client) : client_(client) {}
    absl::Status OnMessage(const v1::ShardMessage& message) override {
      MutexLock lock(&client_->mutex_);
      client_->messages_.push_back(message);
      client_->changed_.NotifyAll();
      return absl::OkStatus();
    }
    void OnClosed(const absl::Status& status) override {
      MutexLock lock(&client_->mutex_);
      client_->end_ = status;
      client_->changed_.NotifyAll();
    }

   private:
    Client* const client_;
  };

  std::unique_ptr<v1::Shard::Stub> stub_;
  std::shared_ptr<StreamSender<v1::WorkerMessage>> sender_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<v1::ShardMessage> messages_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

v1::WorkerMessage Message(const Key& key) {
  v1::WorkerMessage message;
  *message.mutable_key() = ToProto(key);
  return message;
}
v1::WorkerMessage HelloOf(uint32_t worker, const View& view = kView) {
  v1::WorkerMessage message = Message({view, 0, 0});
  message.mutable_hello()->set_worker(worker);
  message.mutable_hello()->set_token(absl::StrCat("token of worker", worker));
  return message;
}
v1::WorkerMessage LabelsMessage(const Key& key, const std::vector<int64_t>& labels) {
  v1::WorkerMessage message = Message(key);
  *message.mutable_labels()->mutable_labels() = EncodeTensor<int64_t>({static_cast<int64_t>(labels.size())}, labels);
  return message;
}
v1::WorkerMessage EmbeddingPiece(const Key& key, const std::vector<float>& values, int64_t piece = 0,
                                 int64_t dim = kDim) {
  v1::WorkerMessage message = Message(key);
  EncodePiece<float>({static_cast<int64_t>(values.size()) / dim, dim}, values, piece,
                     message.mutable_embedding()->mutable_embedding());
  return message;
}
v1::WorkerMessage EmbeddingPiece(WireType type, const Key& key, const std::vector<float>& values, int64_t piece = 0) {
  v1::WorkerMessage message = Message(key);
  EncodePiece(type, {static_cast<int64_t>(values.size()) / kDim, kDim}, values, piece,
              message.mutable_embedding()->mutable_embedding());
  return message;
}
v1::WorkerMessage GradientMessage(const Key& key, const std::vector<float>& r, const std::vector<float>& t) {
  v1::WorkerMessage message = Message(key);
  *message.mutable_gradient()->mutable_r() = EncodeTensor<float>({static_cast<int64_t>(r.size())}, r);
  *message.mutable_gradient()->mutable_t() = EncodeTensor<float>({static_cast<int64_t>(t.size())}, t);
  return message;
}

// The kit's view, with tokens of the shards.
ViewAnnouncement ViewWithTokens() {
  ViewAnnouncement view = TestView();
  for (ShardMember& shard : view.shards) shard.token = absl::StrCat("token of shard ", shard.id);
  return view;
}

// A shard behind a server. The output for workers goes through the service; the rest is recorded.
class ServiceTest : public testing::Test, protected ShardOutput {
 protected:
  void Begin(std::vector<uint32_t> micro_batch_sizes, uint32_t batch_size = 5) {
    ShardState::Options options = TestRun::DefaultOptions();
    options.batch_size = batch_size;
    options.clock = &clock_;
    state_ = std::make_unique<ShardState>(options, static_cast<ShardOutput*>(this));
    service_.Attach(state_.get());
    ASSERT_TRUE(service_.Admit(ViewWithTokens(), options.id).ok());
    ASSERT_TRUE(state_->JoinView(ViewWithTokens(), &head_).ok());
    executor_ = std::make_unique<Executor>(state_.get(), [](const absl::Status& status) { ADD_FAILURE() << status; });
    AwaitJoined();
    Next next = PlanOf(1);
    next.plan.micro_batch_sizes = std::move(micro_batch_sizes);
    const absl::Status status = state_->Install({.view = kView, .next = next});
    ASSERT_TRUE(status.ok()) << status;
  }
  void Begin() { Begin({2, 2, 1}); }

  void SetUp() override {
    auto server = RpcServer::Start("127.0.0.1:0", {&service_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  void TearDown() override {
    server_.reset();
    service_.Attach(nullptr);
    executor_.reset();
  }

  void AwaitJoined() {
    MutexLock lock(&mutex_);
    while (!joined_) changed_.Wait(&mutex_);
  }

  ReadyVote AwaitVote() {
    MutexLock lock(&mutex_);
    while (!vote_.has_value()) changed_.Wait(&mutex_);
    return *vote_;
  }
  void ExpectEnd(Client& client, absl::StatusCode code, const std::string& part) {
    const absl::Status end = client.AwaitEnd();
    EXPECT_EQ(end.code(), code) << end;
    EXPECT_THAT(std::string(end.message()), HasSubstr(part));
  }
  // A channel that shares no connection with others.
  std::shared_ptr<grpc::Channel> ChannelOfItsOwn() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments);
  }
  // Streams that say nothing, on as many connections as they need.
  std::vector<std::unique_ptr<Client>> SilentStreams(int count) const {
    std::vector<std::unique_ptr<Client>> streams;
    std::shared_ptr<grpc::Channel> channel;
    for (int i = 0; i < count; ++i) {
      if (i % kMostStreams == 0) channel = ChannelOfItsOwn();
      streams.push_back(std::make_unique<Client>(channel));
    }
    return streams;
  }
  // Worker 0 with an open stream, after it has sent the labels of micro-batch 0.
  std::unique_ptr<Client> Labelled() {
    Begin();
    auto client = std::make_unique<Client>(server_->port());
    client->Send(HelloOf(0));
    client->Send(LabelsMessage(key_, LabelsOf(0)));
    return client;
  }

  void SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics) override {
    service_.SendStatistics(worker, key, statistics);
  }
  void Refuse(uint32_t worker, const Key&, const absl::Status& why) override { service_.Refuse(worker, why); }
  void VoteReady(const ReadyVote& vote) override {
    MutexLock lock(&mutex_);
    vote_ = vote;
    changed_.NotifyAll();
  }
  void TakeCheckpoint(const View&, uint64_t) override {}
  void Applied(uint64_t, Outcome) override {}
  absl::Status RestoreBase(const ViewAnnouncement&) override { return absl::OkStatus(); }
  void RequestReplay(const ViewAnnouncement&, uint32_t, const StatePoint&, uint64_t) override {}
  void Joined(const JoinedReport&) override {
    MutexLock lock(&mutex_);
    joined_ = true;
    changed_.NotifyAll();
  }
  void LostPeers(const LostPeersReport&) override {}

  const SystemClock clock_{};
  const Key key_ = TestRun::KeyOf(1, 0);
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  FakeHead head_;
  std::unique_ptr<ShardState> state_;
  ShardService service_{&metrics_};
  std::unique_ptr<Executor> executor_;
  std::unique_ptr<RpcServer> server_;
  Mutex mutex_;
  CondVar changed_;
  std::optional<ReadyVote> vote_ ABSL_GUARDED_BY(mutex_);
  bool joined_ ABSL_GUARDED_BY(mutex_) = false;
};

TEST_F(ServiceTest, AStepOfTwoWorkersEndsInAVote) {
  Begin();
  Client worker_0(server_->port()), worker_7(server_->port());
  worker_0.Send(HelloOf(0));
  worker_7.Send(HelloOf(7));
  for (const uint32_t m : {0u, 1u, 2u}) {
    Client& client = WorkerOf(m) == 0 ? worker_0 : worker_7;
    client.Send(LabelsMessage(TestRun::KeyOf(1, m), LabelsOf(m)));
    client.Send(EmbeddingPiece(TestRun::KeyOf(1, m), EmbeddingOf(1, m)));
    const v1::ShardMessage answer = client.Next();
    EXPECT_EQ(*FromProto(answer.key()), TestRun::KeyOf(1, m));
    std::vector<float> z(SizeOf(m));
    ASSERT_TRUE(DecodeTensor<float>("z", {SizeOf(m)}, answer.statistics().z(), absl::MakeSpan(z)).ok());
    EXPECT_EQ(z[0], 1.0f + 3.0f * static_cast<float>(m + 1));
    std::vector<float> u(SizeOf(m) * kDim);
    ASSERT_TRUE(DecodeTensor<float>("u", {SizeOf(m), kDim}, answer.statistics().u(), absl::MakeSpan(u)).ok());
    EXPECT_EQ(u[0], 2.0f * static_cast<float>(m + 1));
    client.Send(
        GradientMessage(TestRun::KeyOf(1, m), std::vector<float>(SizeOf(m), 1.0f), std::vector<float>(SizeOf(m))));
  }
  EXPECT_EQ(AwaitVote().step, 1u);
}

TEST_F(ServiceTest, StatisticsNameTheOwnRowsAndCarryTheirCenters) {
  const auto client = Labelled();
  client->Send(EmbeddingPiece(key_, EmbeddingOf(1, 0)));
  const v1::ShardMessage answer = client->Next();
  EXPECT_THAT(answer.statistics().own_rows(), ElementsAre(1u));
  std::vector<float> centers(kDim);
  ASSERT_TRUE(
      DecodeTensor<float>("own_centers", {1, kDim}, answer.statistics().own_centers(), absl::MakeSpan(centers)).ok());
  EXPECT_THAT(centers, ElementsAre(3.0f, 3.0f, 3.0f));
}

TEST_F(ServiceTest, AMicroBatchOfSeveralPiecesGoesBothWays) {
  constexpr int64_t kSamples = 100'000;  // 1.2 MB of embedding
  Begin({kSamples}, kSamples);
  Client client(server_->port());
  client.Send(HelloOf(0));
  client.Send(LabelsMessage(key_, std::vector<int64_t>(kSamples, 4)));
  std::vector<float> embedding(kSamples * kDim);
  std::iota(embedding.begin(), embedding.end(), 0.0f);
  for (int64_t piece = 0; piece < 2; ++piece) client.Send(EmbeddingPiece(key_, embedding, piece));

  std::vector<float> z(kSamples), u(kSamples * kDim), centers(kSamples * kDim);
  std::vector<uint32_t> own_rows;
  TensorReceiver u_receiver("u", {kSamples, kDim}, absl::MakeSpan(u));
  TensorReceiver centers_receiver("own_centers", {kSamples, kDim}, absl::MakeSpan(centers));
  bool first = true;
  while (!u_receiver.complete() || !centers_receiver.complete()) {
    const v1::ShardMessage answer = client.Next();
    ASSERT_EQ(answer.statistics().has_z(), first);
    ASSERT_LE(answer.ByteSizeLong(), static_cast<size_t>(kMaxMessageBytes));
    if (first) {
      own_rows.assign(answer.statistics().own_rows().begin(), answer.statistics().own_rows().end());
      ASSERT_TRUE(DecodeTensor<float>("z", {kSamples}, answer.statistics().z(), absl::MakeSpan(z)).ok());
    }
    first = false;
    if (answer.statistics().has_u()) {
      ASSERT_TRUE(u_receiver.Add(answer.statistics().u()).ok());
    }
    if (answer.statistics().has_own_centers()) {
      ASSERT_TRUE(centers_receiver.Add(answer.statistics().own_centers()).ok());
    }
  }
  EXPECT_EQ(own_rows.size(), static_cast<size_t>(kSamples));
  for (size_t i = 0; i < u.size(); ++i) ASSERT_EQ(u[i], 2.0f * embedding[i]);
  for (const float center : centers) ASSERT_EQ(center, 4.0f);
}

TEST_F(ServiceTest, Bfloat16GoesBothWaysInHalfTheBytes) {
  constexpr int64_t kSamples = 100'000;  // 1.2 MB of embedding in float32, 0.6 MB so
  constexpr WireType kType = WireType::kBfloat16;
  service_.SetWireType(kType);
  Begin({kSamples}, kSamples);
  Client client(server_->port());
  client.Send(HelloOf(0));
  client.Send(LabelsMessage(key_, std::vector<int64_t>(kSamples, 4)));
  std::vector<float> embedding(kSamples * kDim);
  for (size_t i = 0; i < embedding.size(); ++i) embedding[i] = static_cast<float>(i % 129) - 64.0f;  // are bfloat16
  client.Send(EmbeddingPiece(kType, key_, embedding));

  std::vector<float> u(kSamples * kDim), centers(kSamples * kDim);
  TensorReceiver u_receiver("u", kType, {kSamples, kDim}, absl::MakeSpan(u));
  TensorReceiver centers_receiver("own_centers", kType, {kSamples, kDim}, absl::MakeSpan(centers));
  while (!u_receiver.complete() || !centers_receiver.complete()) {
    const v1::ShardMessage answer = client.Next();
    ASSERT_LE(answer.ByteSizeLong(), static_cast<size_t>(kMaxMessageBytes));
    if (answer.statistics().has_z()) {
      EXPECT_EQ(answer.statistics().z().dtype(), v1::DTYPE_FLOAT32);
    }
    if (answer.statistics().has_u()) {
      ASSERT_TRUE(u_receiver.Add(answer.statistics().u()).ok());
    }
    if (answer.statistics().has_own_centers()) {
      ASSERT_TRUE(centers_receiver.Add(answer.statistics().own_centers()).ok());
    }
  }
  for (size_t i = 0; i < u.size(); ++i) ASSERT_EQ(u[i], 2.0f * embedding[i]);
  for (const float center : centers) ASSERT_EQ(center, 4.0f);
}

TEST_F(ServiceTest, ARunInFloat32RefusesBfloat16) {
  const auto client = Labelled();
  client->Send(EmbeddingPiece(WireType::kBfloat16, key_, EmbeddingOf(1, 0)));
  ExpectEnd(*client, absl::StatusCode::kInvalidArgument, "embedding has dtype DTYPE_BFLOAT16, expected DTYPE_FLOAT32");
}

TEST_F(ServiceTest, ARunInBfloat16RefusesFloat32) {
  service_.SetWireType(WireType::kBfloat16);
  const auto client = Labelled();
  client->Send(EmbeddingPiece(key_, EmbeddingOf(1, 0)));
  ExpectEnd(*client, absl::StatusCode::kInvalidArgument, "embedding has dtype DTYPE_FLOAT32, expected DTYPE_BFLOAT16");
}

TEST_F(ServiceTest, OnANewStreamTheWorkerAsksAgainAndTheOldOneEnds) {
  const auto first = Labelled();
  first->Send(EmbeddingPiece(key_, EmbeddingOf(1, 0)));
  const v1::ShardMessage answer = first->Next();
  Client second(server_->port());
  second.Send(HelloOf(0));
  second.Send(LabelsMessage(key_, LabelsOf(0)));
  second.Send(EmbeddingPiece(key_, EmbeddingOf(1, 0)));
  EXPECT_EQ(second.Next().SerializeAsString(), answer.SerializeAsString());
  ExpectEnd(*first, absl::StatusCode::kAborted, "worker 0 has opened another stream");
}

TEST_F(ServiceTest, HelloIsAcceptedBeforeTheShardIsInTheRunAndNothingElse) {
  Client client(server_->port());
  client.Send(HelloOf(0));
  client.Send(LabelsMessage(key_, LabelsOf(0)));
  ExpectEnd(client, absl::StatusCode::kFailedPrecondition, "came before this shard had joined the run");
}

TEST_F(ServiceTest, OneWorkerCannotSpeakForAnother) {
  const auto genuine = Labelled();  // worker 0
  v1::WorkerMessage hello = HelloOf(0);
  hello.mutable_hello()->set_token("token of worker7");
  Client impostor(server_->port());
  impostor.Send(hello);
  ExpectEnd(impostor, absl::StatusCode::kPermissionDenied, "the hello of worker 0 does not carry the token");
  EXPECT_EQ(metrics_.refused_messages.With("PERMISSION_DENIED").Value(), 1.0);
  hello.mutable_hello()->clear_token();
  Client nobody(server_->port());
  nobody.Send(hello);
  ExpectEnd(nobody, absl::StatusCode::kPermissionDenied, "does not carry the token");
  // The worker's own stream is not affected.
  genuine->Send(EmbeddingPiece(key_, EmbeddingOf(1, 0)));
  EXPECT_TRUE(genuine->Next().has_statistics());
}

TEST_F(ServiceTest, AnImpostorWhoConnectedBeforeTheViewIsRefusedOnceTheTokensAreKnown) {
  v1::WorkerMessage hello = HelloOf(0);
  hello.mutable_hello()->set_token("token of nobody!");
  Client impostor(server_->port());
  impostor.Send(hello);
  while (metrics_.messages.With(kReceived).Value() < 1.0) std::this_thread::yield();
  Begin();
  ExpectEnd(impostor, absl::StatusCode::kPermissionDenied, "does not carry the token");
  EXPECT_EQ(metrics_.refused_messages.With("PERMISSION_DENIED").Value(), 1.0);
}

TEST_F(ServiceTest, AWorkerWhoConnectedBeforeTheViewIsServedOnceTheTokensAreKnown) {
  Client early(server_->port());
  early.Send(HelloOf(0));
  while (metrics_.messages.With(kReceived).Value() < 1.0) std::this_thread::yield();
  Begin();
  // Streams of strangers do not push out one that has proven itself, although it has said nothing since.
  const auto strangers = SilentStreams(40);
  ExpectEnd(*strangers.front(), absl::StatusCode::kResourceExhausted, "streams wait for their Hello");
  early.Send(LabelsMessage(key_, LabelsOf(0)));
  early.Send(EmbeddingPiece(key_, EmbeddingOf(1, 0)));
  EXPECT_TRUE(early.Next().has_statistics());
}

// A worker that replaces a lost one has the number of that one, and may know its first view earlier than this shard.
TEST_F(ServiceTest, AHelloOfANewerViewIsCheckedByTheTokensOfThatView) {
  const auto before = Labelled();  // worker 0
  v1::WorkerMessage hello = HelloOf(0, {1, 3});
  hello.mutable_hello()->set_token("token of another");
  Client early(server_->port());
  early.Send(hello);
  while (metrics_.messages.With(kReceived).Value() < 3.0) std::this_thread::yield();
  before->Send(EmbeddingPiece(key_, EmbeddingOf(1, 0)));
  EXPECT_TRUE(before->Next().has_statistics());  // until then nothing changes
  ViewAnnouncement view = ViewWithTokens();
  view.view = {1, 3};
  view.workers[0].token = "token of another";
  ASSERT_TRUE(service_.Admit(view, 1).ok());
  ExpectEnd(*before, absl::StatusCode::kFailedPrecondition, "does not have the worker 0 whose stream this was");
  early.Send(LabelsMessage({{1, 3}, 1, 0}, LabelsOf(0)));  // waits for that view
  while (metrics_.messages.With(kReceived).Value() < 5.0) std::this_thread::yield();
  EXPECT_EQ(metrics_.refused_messages.With("FAILED_PRECONDITION").Value(), 1.0);
}

TEST_F(ServiceTest, StreamsThatNeverSayHelloMakeRoomForThoseThatDo) {
  Begin();
  service_.ExpectWorkers(2);
  const auto silent = SilentStreams(80);
  ExpectEnd(*silent.front(), absl::StatusCode::kResourceExhausted,
            "more than 34 streams wait for their Hello with its token");
  Client worker_0(server_->port()), worker_7(server_->port());
  for (const uint32_t worker : {0u, 7u}) {
    Client& client = worker == 0 ? worker_0 : worker_7;
    client.Send(HelloOf(worker));
    for (const uint32_t m : {0u, 1u, 2u}) {
      if (WorkerOf(m) != worker) continue;
      client.Send(LabelsMessage(TestRun::KeyOf(1, m), LabelsOf(m)));
      client.Send(EmbeddingPiece(TestRun::KeyOf(1, m), EmbeddingOf(1, m)));
      EXPECT_TRUE(client.Next().has_statistics());
    }
  }
}

TEST_F(ServiceTest, ATokenThatIsNoneIsRefusedBeforeAnyTokenIsKnown) {
  v1::WorkerMessage hello = HelloOf(0);
  hello.mutable_hello()->set_token(std::string(1'000'000, 'x'));
  Client stranger(server_->port());
  stranger.Send(hello);
  ExpectEnd(stranger, absl::StatusCode::kPermissionDenied, "does not carry the token");
}

TEST_F(ServiceTest, AViewThatGivesAWorkerNoTokenIsRefused) {
  ViewAnnouncement view = ViewWithTokens();
  view.workers[1].token.clear();
  const absl::Status status = service_.Admit(view, 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("worker 7 a token of 0 bytes"));
}

TEST_F(ServiceTest, SoIsAViewThatGivesAShardNoToken) {
  ViewAnnouncement view = ViewWithTokens();
  view.shards[2].token = "short";
  const absl::Status status = service_.Admit(view, 1);
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("shard 2 a token of 5 bytes"));
}

TEST_F(ServiceTest, AViewEndsTheStreamsOfWorkersThatItDoesNotHave) {
  const auto replaced = Labelled();  // worker 0
  Client left(server_->port()), stays(server_->port());
  for (const auto& [client, worker] : {std::pair{&left, 7u}, {&stays, 8u}}) {
    v1::WorkerMessage hello = HelloOf(worker, {1, 3});  // of the view to come, so that the state does not mind
    client->Send(hello);
  }
  replaced->Send(EmbeddingPiece(key_, EmbeddingOf(1, 0)));
  replaced->Next();
  while (metrics_.messages.With(kReceived).Value() < 5.0) std::this_thread::yield();
  ViewAnnouncement view = ViewWithTokens();
  view.view = {1, 3};
  view.workers = {{0, "", "token of another"}, {8, "", "token of worker8"}};
  ASSERT_TRUE(service_.Admit(view, 1).ok());
  ExpectEnd(*replaced, absl::StatusCode::kFailedPrecondition, "does not have the worker 0 whose stream this was");
  ExpectEnd(left, absl::StatusCode::kFailedPrecondition, "does not have the worker 7 whose stream this was");
  stays.Send(LabelsMessage({{1, 3}, 1, 0}, LabelsOf(0)));  // waits for that view
  while (metrics_.messages.With(kReceived).Value() < 6.0) std::this_thread::yield();
  EXPECT_EQ(metrics_.refused_messages.With("FAILED_PRECONDITION").Value(), 2.0);
}

TEST_F(ServiceTest, TheFirstMessageIsHello) {
  Begin();
  Client client(server_->port());
  client.Send(LabelsMessage(key_, LabelsOf(0)));
  ExpectEnd(client, absl::StatusCode::kFailedPrecondition, "the first message of a stream must be hello");
}

TEST_F(ServiceTest, AStrangerOrAChangedNameIsRefused) {
  Begin();
  Client stranger(server_->port());
  stranger.Send(HelloOf(3));
  ExpectEnd(stranger, absl::StatusCode::kInvalidArgument, "view 1.2 has no worker 3");
  Client changed(server_->port());
  changed.Send(HelloOf(0));
  changed.Send(HelloOf(7));
  ExpectEnd(changed, absl::StatusCode::kInvalidArgument, "the stream of worker 0 carries a hello of worker 7");
}

TEST_F(ServiceTest, AnErrorOfTheStateEndsTheStreamAndIsCounted) {
  const auto client = Labelled();
  client->Send(LabelsMessage(key_, {9, 9}));
  ExpectEnd(*client, absl::StatusCode::kAlreadyExists, "came before with other values");
  EXPECT_EQ(metrics_.refused_messages.With("ALREADY_EXISTS").Value(), 1.0);
}

TEST_F(ServiceTest, AMessageThatHadToWaitIsRefusedByTheEndOfTheStream) {
  const auto client = Labelled();
  client->Send(LabelsMessage(TestRun::KeyOf(2, 0), {1}));  // for the next step, with one label too few
  client->Send(EmbeddingPiece(key_, EmbeddingOf(1, 0)));
  client->Next();
  for (const uint32_t m : {1u, 2u}) {
    ASSERT_TRUE(state_->Labels(WorkerOf(m), TestRun::KeyOf(1, m), LabelsOf(m)).ok());
  }
  Client worker_7(server_->port());
  worker_7.Send(HelloOf(7));
  worker_7.Send(EmbeddingPiece(TestRun::KeyOf(1, 1), EmbeddingOf(1, 1)));
  worker_7.Next();
  client->Send(EmbeddingPiece(TestRun::KeyOf(1, 2), EmbeddingOf(1, 2)));
  client->Next();
  for (const uint32_t m : {0u, 1u, 2u}) {
    const std::vector<float> values(SizeOf(m));
    ASSERT_TRUE(state_->Gradient(WorkerOf(m), TestRun::KeyOf(1, m), values, values).ok());
  }
  AwaitVote();
  const absl::Status decided = state_->Decide(Commit(1));
  ASSERT_TRUE(decided.ok()) << decided;
  ExpectEnd(*client, absl::StatusCode::kInvalidArgument, "has 1 samples, the step's plan says 2");
}

// A malformed message and a part of the error that it causes.
struct BadMessage {
  const char* name;
  v1::WorkerMessage message;
  const char* part;
};

std::vector<BadMessage> BadMessages() {
  const Key key = TestRun::KeyOf(1, 0);
  const std::vector<float> two(2);
  std::vector<BadMessage> bad;
  bad.push_back({"NoView", {}, "key.view is missing"});
  bad.push_back({"Empty", Message(key), "is empty"});
  bad.push_back({"LabelsOfWrongDtype", LabelsMessage(key, {1, 3}), "labels has dtype DTYPE_FLOAT32"});
  bad.back().message.mutable_labels()->mutable_labels()->set_dtype(v1::DTYPE_FLOAT32);
  bad.push_back({"LabelsOfTwoDimensions", LabelsMessage(key, {1, 3}), "has 2 dimensions, the first 2; expected 1"});
  bad.back().message.mutable_labels()->mutable_labels()->add_shape(1);
  bad.push_back({"LabelsWithoutShape", LabelsMessage(key, {1, 3}), "has 0 dimensions; expected 1"});
  bad.back().message.mutable_labels()->mutable_labels()->clear_shape();
  bad.push_back(
      {"LabelsOfAHugeShape", LabelsMessage(key, {1, 3}), "the first 4611686018427387904; expected 1 with 1 to 5"});
  bad.back().message.mutable_labels()->mutable_labels()->set_shape(0, int64_t{1} << 62);
  bad.push_back({"LabelsOfANegativeShape", LabelsMessage(key, {1, 3}), "the first -1"});
  bad.back().message.mutable_labels()->mutable_labels()->set_shape(0, -1);
  bad.push_back({"LabelsTooShort", LabelsMessage(key, {1, 3}), "fewer bytes than its shape says"});
  bad.back().message.mutable_labels()->mutable_labels()->mutable_data()->resize(8);
  bad.push_back({"EmbeddingOfAnotherDimension", EmbeddingPiece(key, std::vector<float>(8), 0, 4),
                 "has 4 dimensions per sample, the run has 3"});
  bad.push_back({"EmbeddingTooLong", EmbeddingPiece(key, std::vector<float>(6)), "28 bytes at byte 0 of 24"});
  bad.back().message.mutable_embedding()->mutable_embedding()->mutable_data()->resize(28);
  bad.push_back(
      {"EmbeddingThatBeginsInTheMiddle", EmbeddingPiece(key, std::vector<float>(6)), "at byte 12, expected one at 0"});
  bad.back().message.mutable_embedding()->mutable_embedding()->set_offset(12);
  bad.push_back({"GradientWithoutT", GradientMessage(key, two, two), "gradient (t) has dtype DTYPE_UNSPECIFIED"});
  bad.back().message.mutable_gradient()->clear_t();
  bad.push_back({"GradientOfTwoSizes", GradientMessage(key, two, std::vector<float>(3)),
                 "gradient (t) has shape [3], expected [2]"});
  return bad;
}

TEST_F(ServiceTest, AMessageOfWrongFormIsInvalidAndSaysWhy) {
  Begin();
  for (const BadMessage& bad : BadMessages()) {
    SCOPED_TRACE(bad.name);
    Client client(server_->port());
    client.Send(HelloOf(0));
    client.Send(bad.message);
    ExpectEnd(client, absl::StatusCode::kInvalidArgument, bad.part);
  }
}

TEST_F(ServiceTest, NothingComesBetweenThePiecesOfAnEmbedding) {
  const auto client = Labelled();
  v1::WorkerMessage half = EmbeddingPiece(key_, EmbeddingOf(1, 0));
  half.mutable_embedding()->mutable_embedding()->mutable_data()->resize(12);
  client->Send(half);
  client->Send(LabelsMessage(TestRun::KeyOf(1, 2), LabelsOf(2)));
  ExpectEnd(*client, absl::StatusCode::kInvalidArgument, "micro-batch 0 is incomplete");
  Client other(server_->port());
  other.Send(HelloOf(0));
  other.Send(half);
  other.Send(EmbeddingPiece(TestRun::KeyOf(1, 2), EmbeddingOf(1, 2)));
  ExpectEnd(other, absl::StatusCode::kInvalidArgument, "micro-batch 2 came between its pieces");
}

}  // namespace
}  // namespace arcshard::shard
