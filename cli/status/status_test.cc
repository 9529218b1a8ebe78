#include "cli/status/status.h"

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "cli/supervision/run_folder.h"
#include "common/io/file.h"
#include "common/rpc/endpoint.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kNobody[] = "127.0.0.1:1";  // tcpmux, which nothing serves

// The folder of a run that has decided 5 of 10 steps and recorded no end.
class StatusTest : public ::testing::Test {
 protected:
  StatusTest() : folder_(absl::StrCat(::testing::TempDir(), "/status_test.", getpid())) {
    std::filesystem::remove_all(folder_);
    EXPECT_TRUE(CreateFolders(absl::StrCat(folder_, "/logs")).ok());
    Write("metrics.jsonl", R"({"kind":"run","time":1700000000,"elapsed_seconds":0,"incarnation":1,"resumed_step":0}
{"kind":"step","time":1700000060,"elapsed_seconds":60,"step":5,"steps":10,"epoch":1,"loss":3.5,"target_cosine":0.25,"lr":0.1}
)");
    options_.run_folder = folder_;
    options_.timeout = absl::Milliseconds(200);
  }
  ~StatusTest() override { std::filesystem::remove_all(folder_); }

  void Write(const std::string& name, const std::string& text) const {
    EXPECT_TRUE(WriteFileAtomically(absl::StrCat(folder_, "/", name), text).ok());
  }
  // What is printed, beside an error.
  std::string Print() const {
    ::testing::internal::CaptureStdout();
    const absl::Status status = ShowStatus(options_);
    std::string printed = ::testing::internal::GetCapturedStdout();
    EXPECT_EQ(status.code(), absl::StatusCode::kAborted);
    EXPECT_THAT(std::string(status.message()),
                StartsWith(absl::StrCat("the run in ", folder_, " was interrupted: no process of it lives")));
    return printed;
  }

  // Asks a coordinator again and again without a pause.
  void WatchImpatiently(const std::string& address) {
    options_.run_folder = "";
    options_.coordinator = address;
    options_.timeout = absl::Minutes(10);
    options_.watch = true;
    options_.interval = options_.patience = absl::ZeroDuration();
  }

  const std::string folder_;
  StatusOptions options_;
};

TEST_F(StatusTest, OfARunWhoseLauncherWasKilledItTellsHowFarItCame) {
  for (const char* list : {kNobody, ""}) {  // the latter if it was killed before the coordinator listened
    Write("processes.json", absl::StrCat(R"({"launcher": 1, "coordinator": ")", list, R"(", "processes": []})"));
    EXPECT_THAT(Print(), AllOf(StartsWith(absl::StrCat("run ", folder_, ": interrupted\n")),
                               HasSubstr("\nstep 5 of 10, epoch 1.00, loss 3.5000")));
  }
}

TEST_F(StatusTest, AsJsonTooItTellsOfARunWhoseLauncherWasKilled) {
  Write("processes.json", absl::StrCat(R"({"launcher": 1, "coordinator": ")", kNobody, R"(", "processes": []})"));
  options_.json = true;
  const auto json = nlohmann::json::parse(Print());
  EXPECT_TRUE(json["coordinator"].is_null());
  EXPECT_EQ(json["progress"]["step"], 5);
  EXPECT_EQ(json["ended"]["outcome"], "interrupted");
}

TEST_F(StatusTest, OfARunWhoseLauncherLivesItAsksTheCoordinator) {
  auto folder = RunFolder::Take(folder_);
  ASSERT_TRUE(folder.ok()) << folder.status();
  ASSERT_TRUE(folder->List(kNobody, {}).ok());
  const absl::Status status = ShowStatus(options_);
  EXPECT_THAT(std::string(status.message()), AllOf(StartsWith(folder_ + ": "), HasSubstr(kNobody)));
}

// Answers one request with a run that trains, refuses the next ones, and then tells that the run has finished.
class ComesBack final : public v1::Coordinator::Service {
 public:
  explicit ComesBack(int refusals) : refusals_(refusals) {}

  grpc::Status GetStatus(grpc::ServerContext*, const v1::StatusRequest*, v1::RunStatus* status) override {
    const int request = requests_++;
    if (request > 0 && request <= refusals_) return grpc::Status(grpc::StatusCode::UNAVAILABLE, "starting again");
    status->mutable_progress()->set_phase(request == 0 ? v1::Progress::PHASE_TRAINING : v1::Progress::PHASE_FINISHED);
    status->mutable_progress()->set_step(5);
    return grpc::Status::OK;
  }
  int requests() const { return requests_; }

 private:
  const int refusals_;
  std::atomic<int> requests_ = 0;
};

TEST_F(StatusTest, AWatchGoesOnWhenTheCoordinatorIsBack) {
  ComesBack coordinator(3);
  const auto server = RpcServer::Start("127.0.0.1:0", {&coordinator});
  ASSERT_TRUE(server.ok()) << server.status();
  WatchImpatiently((*server)->address());
  options_.patience = absl::InfiniteDuration();
  ::testing::internal::CaptureStdout();
  const absl::Status status = ShowStatus(options_);
  EXPECT_THAT(::testing::internal::GetCapturedStdout(), HasSubstr("\nfinished after step 5\n"));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(coordinator.requests(), 5);
}

TEST_F(StatusTest, AWatchEndsWhenTheCoordinatorDoesNotComeBackInTime) {
  ComesBack coordinator(1000);
  const auto server = RpcServer::Start("127.0.0.1:0", {&coordinator});
  ASSERT_TRUE(server.ok()) << server.status();
  WatchImpatiently((*server)->address());
  ::testing::internal::CaptureStdout();
  const absl::Status status = ShowStatus(options_);
  ::testing::internal::GetCapturedStdout();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(coordinator.requests(), 2);
}

TEST_F(StatusTest, AWatchOfAFolderEndsWhenNoRunIsInProgressThere) {
  ComesBack coordinator(1000);
  const auto server = RpcServer::Start("127.0.0.1:0", {&coordinator});
  ASSERT_TRUE(server.ok()) << server.status();
  WatchImpatiently((*server)->address());
  options_.run_folder = folder_;
  options_.patience = absl::InfiniteDuration();
  Print();  // that the run was interrupted
  EXPECT_EQ(coordinator.requests(), 2);
}

}  // namespace
}  // namespace arcshard::cli
