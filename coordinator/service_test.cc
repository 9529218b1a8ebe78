#include "coordinator/service.h"

#include <grpcpp/client_context.h>
#include <grpcpp/support/sync_stream.h>
#include <unistd.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/fake_clock.h"
#include "common/base/mutex.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"
#include "coordinator/reporter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

// The coordinator over real gRPC: what Run decides reaches the right streams, and streams that end reach Run.
namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

constexpr auto kCallLimit = std::chrono::seconds(60);  // far above what a call takes: a hang fails instead of hanging

// A participant of the plain, synchronous client.
class Peer {
 public:
  explicit Peer(v1::Coordinator::Stub* stub) {
    context_.set_deadline(std::chrono::system_clock::now() + kCallLimit);
    stream_ = stub->Attend(&context_);
  }
  ~Peer() { context_.TryCancel(); }

  // A shard on a GPU of `machine`, which has two.
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
  void Finish() {
    v1::ParticipantMessage message;
    message.mutable_finished();
    stream_->Write(message);
  }
  void Send(const v1::ParticipantMessage& message) { stream_->Write(message); }
  void HalfClose() { stream_->WritesDone(); }
  void Break() { context_.TryCancel(); }

  // The next message, which must be of `kind`.
  v1::CoordinatorMessage Read(v1::CoordinatorMessage::MessageCase kind) {
    v1::CoordinatorMessage message;
    EXPECT_TRUE(stream_->Read(&message)) << "the stream ended instead of message " << kind;
    EXPECT_EQ(message.message_case(), kind) << message.ShortDebugString();
    if (message.has_view()) view_ = message.view().view();
    return message;
  }
  // How the stream ends; what arrives before is dropped.
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
};

class ServiceTest : public ::testing::Test {
 protected:
  void SetUp() override { Begin({}); }
  // A coordinator, in place of the one before.
  void Begin(Run::Options options) {
    shard_.reset();
    worker_.reset();
    server_.reset();
    options.config.data.batch_size = 10;
    options.config.data.micro_batch_size = 5;
    options.config.schedule.epochs = 1;
    options.config.verification.sets = {"omniglot.bin"};
    options.config_yaml = "run: {}";
    options.incarnation = 3;
    service_ = std::make_unique<Service>(options, &clock_, &reporter_, &metrics_);
    auto server = RpcServer::Start("127.0.0.1:0", {service_.get()});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    stub_ = v1::Coordinator::NewStub(MakeChannel(server_->address()));
    shard_ = std::make_unique<Peer>(stub_.get());
    worker_ = std::make_unique<Peer>(stub_.get());
  }
  // Calls end before the server does, and the server before the service.
  ~ServiceTest() override {
    shard_.reset();
    worker_.reset();
    server_.reset();
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
    for (Peer* peer : {shard_.get(), worker_.get()}) {
      EXPECT_EQ(peer->Read(v1::CoordinatorMessage::kView).view().num_classes(), 5);
      peer->Join();
    }
    for (Peer* peer : {shard_.get(), worker_.get()}) {
      EXPECT_EQ(peer->Read(v1::CoordinatorMessage::kDecision).decision().next().plan().step(), 1u);
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
    return service_->session()->AwaitEnd(absl::Seconds(60)).value_or(absl::UnknownError("still running"));
  }

  FakeClock clock_;
  MetricRegistry registry_;
  CoordinatorMetrics metrics_{&registry_};
  Reporter reporter_{&clock_, &metrics_};
  std::unique_ptr<Service> service_;
  std::unique_ptr<RpcServer> server_;
  std::unique_ptr<v1::Coordinator::Stub> stub_;
  std::unique_ptr<Peer> shard_, worker_;
};

TEST_F(ServiceTest, CarriesAWholeRunFromRegistrationToItsOrderlyEnd) {
  BeginTraining();
  EXPECT_EQ(Step(1).next().action(), v1::Next::ACTION_STEP);
  EXPECT_EQ(Step(2).next().action(), v1::Next::ACTION_EVALUATE);
  worker_->ReportEvaluation();
  for (Peer* peer : {shard_.get(), worker_.get()}) {
    EXPECT_EQ(peer->Read(v1::CoordinatorMessage::kProceed).proceed().next().action(), v1::Next::ACTION_STOP);
    peer->Finish();
  }
  EXPECT_TRUE(shard_->ReadToEnd().ok());
  EXPECT_TRUE(worker_->ReadToEnd().ok());
  EXPECT_TRUE(AwaitEnd().ok());
  EXPECT_EQ(metrics_.messages.With(kReceived).Value(), 12.0);
  EXPECT_EQ(metrics_.messages.With(kSent).Value(), 12.0);
}

TEST_F(ServiceTest, ABrokenStreamIsADeathThatEverybodyElseIsToldOf) {
  BeginTraining();
  worker_->Break();
  const absl::Status told = shard_->ReadToEnd();
  EXPECT_EQ(told.code(), absl::StatusCode::kAborted);
  EXPECT_THAT(std::string(told.message()), StartsWith("worker 0 (pid 123 on host) died at step 1: stream "));
  EXPECT_EQ(AwaitEnd(), told);
}

TEST_F(ServiceTest, AStreamThatIsClosedBeforeFinishedIsADeath) {
  BeginTraining();
  shard_->HalfClose();
  EXPECT_THAT(std::string(worker_->ReadToEnd().message()), StartsWith("shard 0 (pid 123 on host) died at step 1"));
}

TEST_F(ServiceTest, SilenceIsADeathThatATickFinds) {
  BeginTraining();
  for (int tick = 0; tick < 9; ++tick) {
    clock_.Advance(absl::Seconds(1));
    service_->session()->Tick();
  }
  EXPECT_THAT(std::string(AwaitEnd().message()), HasSubstr("no sign of life for 9s"));
  EXPECT_EQ(shard_->ReadToEnd().code(), absl::StatusCode::kAborted);
  EXPECT_EQ(worker_->ReadToEnd().code(), absl::StatusCode::kAborted);
}

TEST_F(ServiceTest, FourShardsOnTwoMachinesOfTwoGpusGetOneEachAndAgainAfterARestart) {
  std::vector<DeviceMemory> kept;
  Run::Options options;
  options.config.cluster.shards = 5;
  options.keep_device_memory = [&kept](const std::vector<DeviceMemory>& memory) { kept = memory; };
  Begin(options);
  const auto lease = [](Peer* peer, const std::string& machine, const std::string& replica) {
    peer->RegisterOnAGpu(machine, replica);
    return peer->Read(v1::CoordinatorMessage::kWelcome).welcome().device();
  };
  {
    Peer a(stub_.get()), b(stub_.get()), c(stub_.get()), d(stub_.get()), fifth(stub_.get());
    EXPECT_EQ(lease(&a, "one", "shard-0"), "GPU-one0");
    EXPECT_EQ(lease(&b, "two", "shard-1"), "GPU-two0");
    EXPECT_EQ(lease(&c, "one", "shard-2"), "GPU-one1");
    EXPECT_EQ(lease(&d, "two", "shard-3"), "GPU-two1");
    fifth.RegisterOnAGpu("two", "shard-4");
    const absl::Status refused = fifth.ReadToEnd();
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_THAT(
        std::string(refused.message()),
        StartsWith("no GPU is left for shard 4 (pid 123 on host): all 2 that it sees are leased, GPU-two0 (H100) to "
                   "shard 1 (pid 123 on host), GPU-two1 (H100) to shard 3"));
  }
  EXPECT_FALSE(AwaitEnd().ok());  // they are gone, and with them this life of the run
  options.device_memory = kept;
  Begin(options);
  Peer a(stub_.get()), b(stub_.get()), c(stub_.get()), d(stub_.get());
  EXPECT_EQ(lease(&d, "two", "shard-3"), "GPU-two1");
  EXPECT_EQ(lease(&c, "one", "shard-2"), "GPU-one1");
  EXPECT_EQ(lease(&b, "two", "shard-1"), "GPU-two0");
  EXPECT_EQ(lease(&a, "one", "shard-0"), "GPU-one0");
}

TEST_F(ServiceTest, AMessageThatCannotBeReadIsRefusedByItsField) {
  v1::ParticipantMessage no_role;
  no_role.mutable_register_();
  shard_->Send(no_role);
  EXPECT_EQ(shard_->ReadToEnd(),
            absl::InvalidArgumentError("register.role is 0; it must be ROLE_SHARD or ROLE_WORKER"));
  worker_->Send(v1::ParticipantMessage());
  EXPECT_EQ(worker_->ReadToEnd().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(service_->session()->AwaitEnd(absl::ZeroDuration()), std::nullopt);  // neither was a member
  EXPECT_EQ(metrics_.refused_messages.With("INVALID_ARGUMENT").Value(), 2.0);
}

TEST_F(ServiceTest, AVoteWithoutAViewEndsTheRunWithItsSentence) {
  BeginTraining();
  v1::ParticipantMessage vote;
  vote.mutable_ready()->set_step(1);
  shard_->Send(vote);
  EXPECT_EQ(shard_->ReadToEnd(), absl::InvalidArgumentError("ready.view is missing"));
  EXPECT_EQ(worker_->ReadToEnd(), absl::AbortedError("shard 0 (pid 123 on host): ready.view is missing"));
}

TEST_F(ServiceTest, ASentenceTooLongForAStatusIsCut) {
  BeginTraining();
  v1::ParticipantMessage failure;
  failure.mutable_failure()->set_sentence(std::string(100'000, 'x'));
  failure.mutable_failure()->set_code(static_cast<int>(absl::StatusCode::kInternal));
  worker_->Send(failure);
  const absl::Status told = shard_->ReadToEnd();
  EXPECT_EQ(told.code(), absl::StatusCode::kAborted);
  EXPECT_EQ(told.message().size(), 2004u);
}

TEST_F(ServiceTest, ClosesStreamsThatNeverRegisteredWhenTheRunEnds) {
  Peer stranger(stub_.get());
  BeginTraining();
  worker_->Break();
  EXPECT_EQ(stranger.ReadToEnd().code(), absl::StatusCode::kAborted);
}

TEST_F(ServiceTest, StopEndsTheRunAfterTheStepInProgress) {
  BeginTraining();
  for (int repeat = 0; repeat < 2; ++repeat) {
    grpc::ClientContext context;
    v1::StopResponse response;
    EXPECT_TRUE(stub_->Stop(&context, v1::StopRequest(), &response).ok());
  }
  EXPECT_EQ(Step(1).next().action(), v1::Next::ACTION_STOP);
  shard_->Finish();
  worker_->Finish();
  EXPECT_TRUE(AwaitEnd().ok());
}

TEST_F(ServiceTest, GetStatusTellsOfEveryMember) {
  BeginTraining();
  v1::ParticipantMessage heartbeat;
  heartbeat.mutable_heartbeat()->mutable_stats()->set_resident_bytes(12345);
  v1::PhaseTime* phase = heartbeat.mutable_heartbeat()->mutable_stats()->add_phases();
  phase->set_name("pass_1");
  phase->set_count(4);
  phase->set_seconds(2.0);
  shard_->Send(heartbeat);
  Step(1);  // once it is decided the heartbeat has been heard
  grpc::ClientContext context;
  v1::RunStatus status;
  ASSERT_TRUE(stub_->GetStatus(&context, v1::StatusRequest(), &status).ok());
  EXPECT_EQ(status.progress().step(), 1u);
  EXPECT_EQ(status.num_classes(), 5);
  EXPECT_EQ(status.view().incarnation(), 3u);
  EXPECT_EQ(status.coordinator().pid(), getpid());
  EXPECT_GT(status.coordinator().resident_bytes(), 0u);
  ASSERT_EQ(status.coordinator().phases_size(), 1);
  EXPECT_EQ(status.coordinator().phases(0).count(), 1u);
  ASSERT_EQ(status.members_size(), 2);
  const v1::MemberStatus& shard = status.members(0);
  EXPECT_EQ(shard.role(), v1::ROLE_SHARD);
  EXPECT_EQ(shard.pid(), 123);
  EXPECT_EQ(shard.address(), "host:1");
  EXPECT_EQ(shard.range().end(), 5);
  EXPECT_EQ(shard.resident_bytes(), 12345u);
  ASSERT_EQ(shard.recent_phases_size(), 1);
  EXPECT_EQ(shard.recent_phases(0).count(), 4u);
  EXPECT_EQ(status.members(1).role(), v1::ROLE_WORKER);
}

TEST_F(ServiceTest, AHeartbeatThatSaysTooMuchIsRefused) {
  BeginTraining();
  v1::ParticipantMessage heartbeat;
  for (int i = 0; i < 33; ++i) heartbeat.mutable_heartbeat()->mutable_stats()->add_phases()->set_name("pass_1");
  shard_->Send(heartbeat);
  EXPECT_EQ(shard_->ReadToEnd().code(), absl::StatusCode::kInvalidArgument);
}

// --- Watch

TEST_F(ServiceTest, AWatcherGetsTheLatestReportAtOnceAndTheLastOneAtTheEnd) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + kCallLimit);
  const auto watch = stub_->Watch(&context, v1::WatchRequest());
  v1::Progress progress;
  ASSERT_TRUE(watch->Read(&progress));
  EXPECT_EQ(progress.phase(), v1::Progress::PHASE_GATHERING);
  EXPECT_EQ(progress.waiting_for(), "waiting for 1 of 1 shard and 1 of 1 worker");
  BeginTraining();
  Step(1);
  worker_->Break();
  while (watch->Read(&progress)) {
  }
  EXPECT_TRUE(watch->Finish().ok());
  EXPECT_EQ(progress.phase(), v1::Progress::PHASE_FAILED);
  EXPECT_EQ(progress.step(), 1u);
  EXPECT_EQ(progress.loss(), 2.5);
  EXPECT_THAT(progress.waiting_for(), HasSubstr("worker 0 (pid 123 on host) died at step 2"));
}

TEST_F(ServiceTest, AWatcherAfterTheEndGetsTheLastReport) {
  service_->session()->RequestStop();
  EXPECT_TRUE(AwaitEnd().ok());
  grpc::ClientContext context;
  const auto watch = stub_->Watch(&context, v1::WatchRequest());
  std::vector<v1::Progress> reports;
  v1::Progress progress;
  while (watch->Read(&progress)) reports.push_back(progress);
  EXPECT_TRUE(watch->Finish().ok());
  ASSERT_THAT(reports, SizeIs(1));
  EXPECT_EQ(reports[0].phase(), v1::Progress::PHASE_FINISHED);
}

TEST_F(ServiceTest, WatchersThatComeAndGoOrDoNotReadHarmNobody) {
  grpc::ClientContext idle_context;
  idle_context.set_deadline(std::chrono::system_clock::now() + kCallLimit);
  const auto idle = stub_->Watch(&idle_context, v1::WatchRequest());
  std::vector<std::thread> watchers;
  for (int i = 0; i < 4; ++i) {
    watchers.emplace_back([&] {
      for (int round = 0; round < 20; ++round) {
        grpc::ClientContext context;
        const auto watch = stub_->Watch(&context, v1::WatchRequest());
        v1::Progress progress;
        watch->Read(&progress);
        context.TryCancel();
      }
    });
  }
  BeginTraining();
  Step(1);
  Step(2);
  for (std::thread& watcher : watchers) watcher.join();
  shard_->Break();
  v1::Progress last;
  while (idle->Read(&last)) {
  }
  EXPECT_EQ(last.phase(), v1::Progress::PHASE_FAILED);
}

}  // namespace
}  // namespace arcshard::coordinator
