#pragma once

#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/sync_stream.h>

#include <memory>
#include <string>
#include <utility>

#include "common/base/testing/fake_clock.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/checkpoint_pieces.h"
#include "common/rpc/convert/convert.h"
#include "common/rpc/deadline.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"
#include "coordinator/service/coordinator_service.h"
#include "coordinator/service/reporter.h"
#include "gtest/gtest.h"

// For the tests of the coordinator over real gRPC: a server, and participants that send what a test tells them to.
namespace arcshard::coordinator {

// Far longer than any call takes; it turns a hang into a failure.
inline constexpr absl::Duration kCallLimit = absl::Minutes(10);

// A participant that uses gRPC's synchronous client.
class Peer {
 public:
  explicit Peer(v1::Coordinator::Stub* stub) {
    context_.set_deadline(DeadlineIn(kCallLimit));
    stream_ = stub->Attend(&context_);
  }
  ~Peer() { context_.TryCancel(); }

  // Registers as a shard that asks for one of the two GPUs of `machine`.
  void RegisterOnAGpu(const std::string& machine, const std::string& replica) {
    v1::ParticipantMessage message = Registration(v1::ROLE_SHARD);
    v1::DeviceRequest* request = message.mutable_register_()->mutable_device_request();
    request->set_machine(machine);
    request->set_replica(replica);
    for (const char* gpu : {"0", "1"}) {
      request->add_devices()->set_uuid("GPU-" + machine + gpu);
      request->mutable_devices()->rbegin()->set_name("H100");
    }
    stream_->Write(message);
  }
  void Register(v1::Role role) { stream_->Write(Registration(role)); }
  static v1::ParticipantMessage Registration(v1::Role role) {
    v1::ParticipantMessage message;
    v1::Register* body = message.mutable_register_();
    body->set_role(role);
    body->set_address("host:1");
    body->set_host("host");
    body->set_pid(123);
    body->set_capacity_bytes(uint64_t{1} << 30);
    return message;
  }
  void ReportData() {
    v1::ParticipantMessage message;
    message.mutable_dataset()->set_samples(20);
    message.mutable_dataset()->set_classes(5);
    stream_->Write(message);
  }
  void Join() {
    v1::ParticipantMessage message;
    *message.mutable_joined()->mutable_view() = view_;
    *message.mutable_joined()->mutable_state() = state_;
    stream_->Write(message);
  }
  void Fail(const std::string& sentence) {
    v1::ParticipantMessage message;
    message.mutable_failure()->set_sentence(sentence);
    message.mutable_failure()->set_code(static_cast<int>(absl::StatusCode::kInternal));
    stream_->Write(message);
  }
  void Vote(uint64_t step) {
    v1::ParticipantMessage message;
    *message.mutable_ready()->mutable_view() = view_;
    message.mutable_ready()->set_step(step);
    message.mutable_ready()->set_finite(true);
    message.mutable_ready()->set_loss(2.5);
    stream_->Write(message);
  }
  void ReportEvaluation() {
    v1::ParticipantMessage message;
    *message.mutable_evaluated()->mutable_view() = view_;
    v1::Verification* set = message.mutable_evaluated()->add_sets();
    set->set_name("omniglot");
    set->set_accuracy(0.93);
    stream_->Write(message);
  }
  // Reports one file of `bytes`, or no file if that is 0.
  void ReportCheckpoint(uint64_t step, uint64_t bytes = 0) {
    CheckpointReport report{.view = FromProto(view_), .step = step};
    if (bytes > 0) {
      const uint64_t blocks = (bytes + FileRecord::kBlockBytes - 1) / FileRecord::kBlockBytes;
      report.files.push_back({.name = "class_centers-0-5.safetensors", .bytes = bytes, .block_crc32c = {}});
      report.files.back().block_crc32c.resize(blocks, 7);
    }
    for (const v1::ParticipantMessage& message : PiecesOf(report)) stream_->Write(message);
  }
  void Finish() {
    v1::ParticipantMessage message;
    message.mutable_finished();
    stream_->Write(message);
  }
  void Send(const v1::ParticipantMessage& message) { stream_->Write(message); }
  // The last ones that Read returned.
  const v1::View& view() const { return view_; }
  const v1::Decision& decision() const { return decision_; }
  const std::string& token() const { return token_; }
  void HalfClose() { stream_->WritesDone(); }
  void Break() { context_.TryCancel(); }

  // Returns the next message, which must be of `kind`, but for signs of life and what became of checkpoints.
  v1::CoordinatorMessage Read(v1::CoordinatorMessage::MessageCase kind) {
    v1::CoordinatorMessage message;
    do {
      EXPECT_TRUE(stream_->Read(&message)) << "the stream ended instead of message " << kind;
    } while (message.has_pulse() || message.has_checkpoint_settled());
    EXPECT_EQ(message.message_case(), kind) << message.ShortDebugString();
    if (message.has_view()) {
      view_ = message.view().view();
      state_ = message.view().state();
    }
    if (message.has_decision()) decision_ = message.decision();
    if (message.has_welcome()) token_ = message.welcome().token();
    return message;
  }
  // Returns how the stream ends; drops the messages before.
  absl::Status ReadToEnd() {
    v1::CoordinatorMessage message;
    while (stream_->Read(&message)) {
    }
    return FromGrpcStatus(stream_->Finish());
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ParticipantMessage, v1::CoordinatorMessage>> stream_;
  v1::View view_;
  v1::StatePoint state_;  // the view's
  v1::Decision decision_;
  std::string token_;
};

class CoordinatorServiceTest : public ::testing::Test {
 protected:
  void SetUp() override { Begin({}); }
  // Starts a coordinator, in place of the one before. Without a keeper its run takes no checkpoints.
  void Begin(Run::Options options, CheckpointKeeper* keeper = nullptr) {
    shard_.reset();
    worker_.reset();
    server_.reset();
    options.config.data.batch_size = 10;
    options.config.data.micro_batch_size = 5;
    options.config.schedule.epochs = 1;
    options.config.verification.sets = {"omniglot.bin"};
    options.config_yaml = "run: {}";
    options.incarnation = 3;
    options.seat_grace = absl::ZeroDuration();
    service_ = std::make_unique<CoordinatorService>(
        options, &clock_,
        Session::Receivers{.progress = &reporter_,
                           .keeper = keeper,
                           .keep_lease_history = [this](const auto& history) { kept_history_ = history; }},
        &metrics_);
    auto server =
        RpcServer::Start("127.0.0.1:0", {service_.get()},
                         {.max_message_bytes = kMaxParticipantMessageBytes, .known = service_->known_peers()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::Coordinator::NewStub(MakeChannel(server_->address()));
    shard_ = std::make_unique<Peer>(stub_.get());
    worker_ = std::make_unique<Peer>(stub_.get());
  }
  // Calls must end before the server, and the server before the service.
  ~CoordinatorServiceTest() override {
    shard_.reset();
    worker_.reset();
    server_.reset();
  }

  // With a connection that it shares with no other stub: one has only a few streams.
  std::unique_ptr<v1::Coordinator::Stub> StubOfItsOwn() const {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
    return v1::Coordinator::NewStub(
        grpc::CreateCustomChannel(server_->address(), grpc::InsecureChannelCredentials(), arguments));
  }

  void BeginTraining() {
    shard_->Register(v1::ROLE_SHARD);
    worker_->Register(v1::ROLE_WORKER);
    for (Peer* peer : {shard_.get(), worker_.get()}) {
      const v1::Welcome welcome = peer->Read(v1::CoordinatorMessage::kWelcome).welcome();
      EXPECT_EQ(welcome.config_yaml(), "run: {}");
      EXPECT_EQ(welcome.incarnation(), 3u);
    }
    worker_->ReportData();
    JoinView();
  }
  // The next view, which goes on with step 1.
  void JoinView() {
    for (Peer* peer : {shard_.get(), worker_.get()}) {
      EXPECT_EQ(peer->Read(v1::CoordinatorMessage::kView).view().num_classes(), 5);
      peer->Join();
    }
    for (Peer* peer : {shard_.get(), worker_.get()}) {
      EXPECT_EQ(peer->Read(v1::CoordinatorMessage::kInstall).install().next().plan().step(), 1u);
    }
  }
  v1::Decision Step(uint64_t step) {
    v1::Decision decision;
    for (Peer* peer : {shard_.get(), worker_.get()}) peer->Vote(step);
    for (Peer* peer : {shard_.get(), worker_.get()})
      decision = peer->Read(v1::CoordinatorMessage::kDecision).decision();
    EXPECT_EQ(decision.step(), step);
    return decision;
  }
  absl::Status AwaitEnd() {
    return service_->session()->AwaitEnd(absl::Minutes(10)).value_or(absl::UnknownError("still running"));
  }

  FakeClock clock_;
  LeaseHistory kept_history_;  // the last one that a coordinator wanted kept; the session's lock guards it
  MetricRegistry registry_;
  CoordinatorMetrics metrics_{&registry_};
  Reporter reporter_{&clock_, &metrics_, /*members=*/2};
  std::unique_ptr<CoordinatorService> service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::Coordinator::Stub> stub_;
  std::unique_ptr<Peer> shard_, worker_;
};

}  // namespace arcshard::coordinator
