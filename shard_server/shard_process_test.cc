// ShardProcess with a coordinator over real gRPC that sends what the test tells it to.
#include "shard_server/shard_process.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <optional>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "common/io/safetensors.h"
#include "shard_server/testing/shard_process_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::HasSubstr;

TEST_F(ShardProcessTest, FromRegistrationToTheClassCentersThatItLeaves) {
  const v1::Register registration = Start();
  EXPECT_EQ(registration.role(), v1::ROLE_SHARD);
  EXPECT_EQ(registration.capacity_bytes(), uint64_t{64} << 20);
  EXPECT_THAT(registration.address(), HasSubstr("127.0.0.1:"));
  coordinator_.SayWelcome(Config());
  Join(ViewOf());
  EXPECT_EQ(metrics_.classes.Value(), 6.0);
  EXPECT_EQ(metrics_.incarnation.Value(), 3.0);
  coordinator_.Say(First(NextAction::kEvaluate));
  coordinator_.Say(Proceed{.view = {3, 1}, .next = {NextAction::kStop, {}}});
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
  Join(ViewOf());
  coordinator_.Say(First(NextAction::kStop));
  EXPECT_TRUE(Result().ok()) << result_;
  const auto file = SafetensorsFile::Open(folder_ + "/model/class_centers-4-10.safetensors");
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(*file->Read<float>("class_centers.4-10"), std::vector<float>(6 * 16, 0.25f));
}

TEST_F(ShardProcessTest, ItsHeartbeatsSayForWhomItWaits) {
  Start();
  coordinator_.SayWelcome(Config());
  coordinator_.AwaitHeartbeat([](const v1::ParticipantStats& stats) { return !stats.has_waiting(); });
  Join(ViewOf());
  coordinator_.AwaitHeartbeat([](const v1::ParticipantStats& stats) {
    return stats.waiting().coordinator() && stats.waiting().view().counter() == 1 && stats.waiting().workers().empty();
  });
  coordinator_.Say(Install{.view = {3, 1}, .next = {NextAction::kStep, {1, 0, 0, {4, 4}}}});
  coordinator_.AwaitHeartbeat([](const v1::ParticipantStats& stats) {
    return !stats.waiting().coordinator() && stats.waiting().workers_size() == 1 && stats.waiting().workers(0) == 0;
  });
  coordinator_.Close(absl::AbortedError("over"));
  EXPECT_EQ(Result(), absl::AbortedError("over"));
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
  Join(ViewOf());
  coordinator_.Say(First(NextAction::kEvaluate));
  coordinator_.Say(Decision{.view = {3, 1}, .step = 4, .next = {NextAction::kStop, {}}});
  EXPECT_THAT(coordinator_.NextMessage().failure().sentence(), HasSubstr("the decision of step 4"));
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

TEST_F(ShardProcessTest, ACoordinatorThatDiesBeforeItsWelcomeEndsItByName) {
  Start();
  server_->Shutdown(absl::ZeroDuration());
  const absl::Status result = Result();
  EXPECT_EQ(result.code(), absl::StatusCode::kUnavailable) << result;
  EXPECT_THAT(std::string(result.message()), HasSubstr(options_.coordinator));
}

TEST_F(ShardProcessTest, ToldToEndItTellsTheCoordinatorAndTakesPartUntilTheRunEnds) {
  client::Departure departure;
  options_.departure = &departure;
  EXPECT_FALSE(departure.Announce("SIGTERM"));
  Start();
  coordinator_.SayWelcome(Config());
  Join(ViewOf());
  EXPECT_TRUE(departure.Announce("SIGTERM"));
  EXPECT_EQ(coordinator_.NextMessage().leaving().reason(), "SIGTERM");
  coordinator_.Say(First(NextAction::kStop));
  EXPECT_TRUE(coordinator_.NextMessage().has_finished());
  EXPECT_TRUE(Result().ok()) << result_;
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/model/class_centers-4-10.safetensors"));
  process_.reset();  // before the departure
}

TEST_F(ShardProcessTest, ACoordinatorThatDoesNotAnswerAFailureIsGivenTwoSeconds) {
  coordinator_.IgnoreFailures();
  FakeClock clock;
  ShardProcess process(options_, &metrics_, &clock);
  std::atomic<bool> running = true;
  std::thread runner([&] {
    EXPECT_EQ(process.Run(), absl::InvalidArgumentError("the coordinator sent Install before its welcome"));
    running = false;
  });
  coordinator_.NextMessage();  // its registration
  coordinator_.Say(First(NextAction::kStop));
  EXPECT_EQ(coordinator_.NextMessage().failure().sentence(), "the coordinator sent Install before its welcome");
  clock.SetForward(absl::Hours(48));
  EXPECT_TRUE(running);  // however long that took, and whatever the date: the clock stands still
  while (running) {
    clock.Advance(absl::Seconds(2));
    std::this_thread::yield();
  }
  runner.join();
}

TEST_F(ShardProcessTest, WithoutACoordinatorItGivesUpAndSaysForWhomItWaited) {
  server_->Shutdown(absl::ZeroDuration());
  options_.connect_timeout = absl::Milliseconds(50);
  ShardProcess process(options_, &metrics_, &clock_);
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
  // No machine has a GPU with this number, so the head cannot be created, and the error names the GPU.
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
