// A shard's life against a coordinator that says what a test tells it to, over real gRPC.
#include "shard_server/shard_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <filesystem>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/io/safetensors.h"
#include "common/rpc/convert.h"
#include "common/rpc/server_stream.h"

namespace arcshard::shard {
namespace {

using testing::HasSubstr;

// Serves one participant. Ends its stream with Aborted when that says Failure, with OK when it says Finished.
class ScriptedCoordinator final : public v1::Coordinator::CallbackService {
 public:
  using Sender = std::shared_ptr<StreamSender<v1::CoordinatorMessage>>;

  grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>* Attend(
      grpc::CallbackServerContext*) override {
    return ServerStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start([this](Sender sender) {
      MutexLock lock(&mutex_);
      sender_ = std::move(sender);
      return std::make_unique<Handler>(this);
    });
  }

  // The next message but heartbeats.
  v1::ParticipantMessage NextMessage() {
    MutexLock lock(&mutex_);
    while (messages_.empty()) changed_.Wait(&mutex_);
    v1::ParticipantMessage message = std::move(messages_.front());
    messages_.pop_front();
    return message;
  }
  void Close(const absl::Status& status) { sender()->Close(status); }
  void SayWelcome(const std::string& config_yaml, const std::string& device = "") {
    v1::CoordinatorMessage message;
    message.mutable_welcome()->set_device(device);
    message.mutable_welcome()->set_id(1);
    message.mutable_welcome()->set_config_yaml(config_yaml);
    sender()->Send(std::move(message));
  }
  void Say(const ViewAnnouncement& view) {
    v1::CoordinatorMessage message;
    *message.mutable_view() = ToProto(view);
    sender()->Send(std::move(message));
  }
  void Say(const Decision& decision) {
    v1::CoordinatorMessage message;
    *message.mutable_decision() = ToProto(decision);
    sender()->Send(std::move(message));
  }
  void SayProceed(const View& view, const Next& next) {
    v1::CoordinatorMessage message;
    *message.mutable_proceed()->mutable_view() = ToProto(view);
    *message.mutable_proceed()->mutable_next() = ToProto(next);
    sender()->Send(std::move(message));
  }

 private:
  class Handler final : public StreamHandler<v1::ParticipantMessage> {
   public:
    explicit Handler(ScriptedCoordinator* coordinator) : coordinator_(coordinator) {}
    absl::Status OnMessage(const v1::ParticipantMessage& message) override {
      if (message.has_heartbeat()) return absl::OkStatus();
      {
        MutexLock lock(&coordinator_->mutex_);
        coordinator_->messages_.push_back(message);
        coordinator_->changed_.NotifyAll();
      }
      if (message.has_finished()) coordinator_->Close(absl::OkStatus());
      if (message.has_failure()) return absl::AbortedError(absl::StrCat("shard 1: ", message.failure().sentence()));
      return absl::OkStatus();
    }
    void OnClosed(const absl::Status&) override {}

   private:
    ScriptedCoordinator* const coordinator_;
  };

  Sender sender() {
    MutexLock lock(&mutex_);
    return sender_;
  }

  Mutex mutex_;
  CondVar changed_;
  Sender sender_ ABSL_GUARDED_BY(mutex_);
  std::deque<v1::ParticipantMessage> messages_ ABSL_GUARDED_BY(mutex_);
};

class ShardProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = absl::StrCat(testing::TempDir(), "/shard_process_test_", ::getpid(), "_",
                           testing::UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::remove_all(folder_);
    auto server = RpcServer::Start("127.0.0.1:0", {&coordinator_});
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    options_.coordinator = server_->address();
    options_.capacity_bytes = int64_t{64} << 20;
  }
  void TearDown() override {
    if (runner_.joinable()) runner_.join();
  }

  // Starts the process and reads its registration.
  v1::Register Start() {
    process_ = std::make_unique<ShardProcess>(options_, &metrics_, &clock_);
    runner_ = std::thread([this] { result_ = process_->Run(); });
    return coordinator_.NextMessage().register_();
  }
  absl::Status Result() {
    runner_.join();
    return result_;
  }
  std::string Config(const std::string& head = "") const {
    return absl::StrCat("run: {folder: '", folder_, "'}\n",
                        "data: {train: /nowhere, batch_size: 8, micro_batch_size: 4}\n",
                        "backbone: {embedding_size: 16}\n", "head: {exp_budget_mb: 0", head, "}\n");
  }
  ViewAnnouncement ViewOf(int64_t num_classes = 10) const {
    ViewAnnouncement view;
    view.view = {3, 1};
    view.num_classes = num_classes;
    view.shards = {{0, "127.0.0.1:1", {0, 4}}, {1, "127.0.0.1:2", {4, num_classes}}};
    view.workers = {{0, "127.0.0.1:3", "token of worker0"}};
    return view;
  }
  static Decision Start0(NextAction next) { return {{3, 1}, 0, Outcome::kCommit, 0.0, {next, {}}}; }

  std::string folder_;
  ScriptedCoordinator coordinator_;
  std::unique_ptr<RpcServer> server_;
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  SystemClock clock_;
  ShardProcess::Options options_;
  std::unique_ptr<ShardProcess> process_;
  std::thread runner_;
  absl::Status result_;
};

TEST_F(ShardProcessTest, FromRegistrationToTheClassCentersThatItLeaves) {
  const v1::Register registration = Start();
  EXPECT_EQ(registration.role(), v1::ROLE_SHARD);
  EXPECT_EQ(registration.capacity_bytes(), uint64_t{64} << 20);
  EXPECT_THAT(registration.address(), HasSubstr("127.0.0.1:"));
  coordinator_.SayWelcome(Config());
  coordinator_.Say(ViewOf());
  EXPECT_EQ(FromProto(coordinator_.NextMessage().joined().view()), (View{3, 1}));
  EXPECT_EQ(metrics_.classes.Value(), 6.0);
  EXPECT_EQ(metrics_.incarnation.Value(), 3.0);
  coordinator_.Say(Start0(NextAction::kEvaluate));
  coordinator_.SayProceed({3, 1}, {NextAction::kStop, {}});
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_TRUE(Result().ok()) << result_;
  const auto file = SafetensorsFile::Open(folder_ + "/model/class_centers-4-10.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file->Find("class_centers.4-10"))->shape, (std::vector<int64_t>{6, 16}));
}

TEST_F(ShardProcessTest, TheFirstClassCentersComeFromTheFileThatTheConfigurationNames) {
  std::filesystem::create_directories(folder_);
  const std::vector<float> centers(10 * 16, 0.25f);
  const std::string init = folder_ + "/init.safetensors";
  ASSERT_TRUE(WriteSafetensors(init, {TensorView::Of<float>("class_centers", {10, 16}, centers)}).ok());
  Start();
  coordinator_.SayWelcome(Config(absl::StrCat(", init: '", init, "'")));
  coordinator_.Say(ViewOf());
  EXPECT_TRUE(coordinator_.NextMessage().has_joined());
  coordinator_.Say(Start0(NextAction::kStop));
  EXPECT_TRUE(Result().ok()) << result_;
  const auto file = SafetensorsFile::Open(folder_ + "/model/class_centers-4-10.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*file->Read<float>("class_centers.4-10"), std::vector<float>(6 * 16, 0.25f));
}

TEST_F(ShardProcessTest, ARangeLargerThanItsMemoryIsRefusedWithTheFigures) {
  Start();
  coordinator_.SayWelcome(Config());
  coordinator_.Say(ViewOf(int64_t{1} << 40));
  const v1::ParticipantMessage message = coordinator_.NextMessage();
  EXPECT_EQ(message.failure().code(), static_cast<int>(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(Result().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(message.failure().sentence(), std::string(result_.message()));
  EXPECT_THAT(message.failure().sentence(), HasSubstr("67108864"));
  EXPECT_FALSE(std::filesystem::exists(folder_ + "/model"));
}

TEST_F(ShardProcessTest, AConfigurationItCannotReadEndsIt) {
  Start();
  coordinator_.SayWelcome("head: {scal: 3}\n");
  EXPECT_THAT(coordinator_.NextMessage().failure().sentence(), HasSubstr("scal"));
  EXPECT_EQ(Result().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(ShardProcessTest, AnInitFileThatIsNotThereEndsIt) {
  Start();
  coordinator_.SayWelcome(Config(", init: /nowhere/init.safetensors"));
  coordinator_.Say(ViewOf());
  EXPECT_THAT(coordinator_.NextMessage().failure().sentence(), HasSubstr("/nowhere/init.safetensors"));
  EXPECT_EQ(Result().code(), absl::StatusCode::kNotFound);
}

TEST_F(ShardProcessTest, ADecisionThatCannotBeEndsIt) {
  Start();
  coordinator_.SayWelcome(Config());
  coordinator_.Say(ViewOf());
  EXPECT_TRUE(coordinator_.NextMessage().has_joined());
  Decision decision = Start0(NextAction::kStop);
  decision.step = 4;
  coordinator_.Say(decision);
  EXPECT_THAT(coordinator_.NextMessage().failure().sentence(),
              HasSubstr("step 4 came, but view 3.1 goes on from step 0"));
  EXPECT_EQ(Result().code(), absl::StatusCode::kFailedPrecondition);
}

TEST_F(ShardProcessTest, TheCoordinatorsReasonIsItsOwn) {
  Start();
  coordinator_.SayWelcome(Config());
  coordinator_.Close(absl::AbortedError("worker 2 died"));
  EXPECT_EQ(Result(), absl::AbortedError("worker 2 died"));
}

TEST_F(ShardProcessTest, ACoordinatorThatLeavesEarlyEndsIt) {
  Start();
  coordinator_.Close(absl::OkStatus());
  EXPECT_EQ(Result(), absl::UnavailableError("the coordinator left before the end of the run"));
}

TEST_F(ShardProcessTest, ACoordinatorThatDiesEndsItByName) {
  Start();
  server_->Shutdown(absl::ZeroDuration());
  EXPECT_FALSE(Result().ok());
}

TEST_F(ShardProcessTest, StoppedFromOutside_ItTellsTheCoordinator) {
  Start();
  coordinator_.SayWelcome(Config());
  coordinator_.Say(ViewOf());
  EXPECT_TRUE(coordinator_.NextMessage().has_joined());
  EXPECT_TRUE(process_->Stop(absl::CancelledError("stopped by a signal")));
  EXPECT_EQ(coordinator_.NextMessage().failure().sentence(), "stopped by a signal");
  EXPECT_EQ(Result(), absl::CancelledError("stopped by a signal"));
}

TEST_F(ShardProcessTest, WithoutACoordinatorItGivesUpAndSaysForWhomItWaited) {
  server_->Shutdown(absl::ZeroDuration());
  options_.connect_timeout = absl::Milliseconds(50);
  ShardProcess process(options_, &metrics_, &clock_);
  EXPECT_FALSE(process.Stop(absl::CancelledError("")));
  const absl::Status status = process.Run();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(options_.coordinator));
}

TEST_F(ShardProcessTest, APortInUseIsNamed) {
  options_.listen = server_->address();
  ShardProcess process(options_, &metrics_, &clock_);
  const absl::Status status = process.Run();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(status.message()), HasSubstr(server_->address()));
}

class ShardOnAGpuTest : public ShardProcessTest {
 protected:
  void SetUp() override {
    ShardProcessTest::SetUp();
    options_.device = {.cuda = true, .any = true};
    options_.name = "shard-0";
    options_.capacity_bytes = 0;
    options_.list_gpus = [] {
      return std::vector<head::GpuInfo>{{0, "GPU-a", "H100", 1000}, {99, "GPU-b", "H100", 2000}};
    };
  }
};

TEST_F(ShardOnAGpuTest, AsksForOneOfThoseThatItSees) {
  const v1::DeviceRequest request = Start().device_request();
  EXPECT_EQ(request.replica(), "shard-0");
  ASSERT_EQ(request.devices_size(), 2);
  EXPECT_EQ(request.devices(1).uuid(), "GPU-b");
  EXPECT_EQ(request.devices(1).capacity_bytes(), 1800u);
  EXPECT_FALSE(request.share());
  EXPECT_EQ(process_->gpu(), std::nullopt);
  coordinator_.Close(absl::ResourceExhaustedError("no GPU is left for shard 4 (pid 1 on h)"));
  const absl::Status result = Result();
  EXPECT_EQ(result.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(result.message(), "no GPU is left for shard 4 (pid 1 on h)");
}

TEST_F(ShardOnAGpuTest, ComputesOnTheOneThatIsLeased) {
  Start();
  coordinator_.SayWelcome(Config(), "GPU-b");
  coordinator_.Say(ViewOf());
  // No machine has a GPU of this number, so the head is refused, and says which it is about.
  EXPECT_TRUE(coordinator_.NextMessage().has_failure());
  EXPECT_THAT(std::string(Result().message()),
              testing::AnyOf(HasSubstr("no code for GPUs"), HasSubstr("no CUDA device"), HasSubstr("CUDA device 99")));
  EXPECT_EQ(process_->gpu(), 99);
}

TEST_F(ShardOnAGpuTest, RefusesALeaseOfOneThatItDoesNotSee) {
  Start();
  coordinator_.SayWelcome(Config(), "GPU-x");
  EXPECT_TRUE(coordinator_.NextMessage().has_failure());
  EXPECT_THAT(std::string(Result().message()), HasSubstr("leased GPU 'GPU-x', which this process does not see"));
}

}  // namespace
}  // namespace arcshard::shard
