#include "coordinator/run_folder/metrics_log.h"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <limits>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/testing/fake_clock.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "tensorboard/event.pb.h"

namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using Json = nlohmann::json;

class MetricsLogTest : public ::testing::Test {
 protected:
  MetricsLogTest() : path_(absl::StrCat(::testing::TempDir(), "/metrics_log_test.", getpid(), ".jsonl")) {
    unlink(path_.c_str());
    status_.progress = {.phase = Phase::kTraining, .steps = 100000, .epochs = 2};
    status_.view = {7, 1};
    status_.num_classes = 9;
    for (uint32_t id = 0; id < 2; ++id) {
      MemberStatus& shard = AddMember(Role::kShard, id);
      shard.range = {static_cast<int64_t>(id) * 5, id == 0 ? 5 : 9};
      shard.registration.capacity_bytes = 1000;
    }
    AddMember(Role::kWorker, 0);
  }

  ~MetricsLogTest() override { unlink(path_.c_str()); }

  MemberStatus& AddMember(Role role, uint32_t id) {
    MemberStatus& member = status_.members.emplace_back();
    member.registration.role = role;
    member.registration.address = "h:1";
    member.registration.host = "h";
    member.registration.pid = 10;
    member.id = id;
    return member;
  }

  std::unique_ptr<MetricsLog> Start() {
    return std::make_unique<MetricsLog>(path_, &clock_,
                                        MetricsLog::Start{.config = "run.yaml",
                                                          .version = "1.2.3",
                                                          .incarnation = 7,
                                                          .shards = 2,
                                                          .workers = 1,
                                                          .host = "h",
                                                          .pid = 5});
  }
  // Calls Look `after` the last call, when `step` is decided.
  void LookAt(MetricsLog* log, uint64_t step, absl::Duration after = absl::Seconds(1)) {
    clock_.Advance(after);
    status_.progress.step = step;
    log->Look(status_);
  }

  std::vector<Json> Lines() const {
    std::vector<Json> lines;
    const std::string text = ReadFile(path_).value();
    EXPECT_THAT(text, EndsWith("\n"));
    for (const absl::string_view line : absl::StrSplit(text, '\n', absl::SkipEmpty())) {
      lines.push_back(Json::parse(line.begin(), line.end(), nullptr, /*allow_exceptions=*/false));
    }
    return lines;
  }
  std::vector<std::string> Kinds() const {
    std::vector<std::string> kinds;
    for (const Json& line : Lines()) kinds.push_back(line.is_object() ? line["kind"].get<std::string>() : "damaged");
    return kinds;
  }
  std::vector<uint64_t> Steps() const {
    std::vector<uint64_t> steps;
    for (const Json& line : Lines()) {
      if (line["kind"] == "step") steps.push_back(line["step"]);
    }
    return steps;
  }

  const std::string path_;
  FakeClock clock_;
  RunStatus status_;
};

TEST_F(MetricsLogTest, BeginsWithWhatRuns) {
  Start()->Look(status_);
  const std::vector<Json> lines = Lines();
  ASSERT_THAT(Kinds(), ElementsAre("run", "view"));
  EXPECT_EQ(
      lines[0],
      Json::parse(R"({"kind": "run", "time": 1700000000.0, "elapsed_seconds": 0.0, "format": 1, "version": "1.2.3",
      "config": "run.yaml", "incarnation": 7, "resumed_step": 0, "shards": 2, "workers": 1, "host": "h", "pid": 5})"));
}

TEST_F(MetricsLogTest, WantsToLookOnlyWhenThereIsALineToWrite) {
  const auto log = Start();
  const auto wants = [&](auto change) {
    RunStatus without_members = status_;
    without_members.members.clear();
    change(&without_members);
    return log->WantsToLook(without_members);
  };
  const auto as_it_is = [](RunStatus*) {};
  EXPECT_TRUE(wants(as_it_is)) << "the run's line is missing";
  EXPECT_FALSE(wants([](RunStatus* status) { status->view = {}; })) << "the run has no view yet";
  log->Look(status_);
  EXPECT_FALSE(wants(as_it_is));
  LookAt(log.get(), 1);
  EXPECT_FALSE(wants([](RunStatus* status) { status->progress.step = 2; })) << "too soon after the step before";
  clock_.Advance(absl::Seconds(1));
  EXPECT_FALSE(wants(as_it_is)) << "that step has its line";
  EXPECT_TRUE(wants([](RunStatus* status) { status->progress.step = 2; }));
  EXPECT_TRUE(wants([](RunStatus* status) { status->view = {7, 2}; }));
  EXPECT_TRUE(wants([](RunStatus* status) { status->progress.recoveries = 1; }));
  EXPECT_TRUE(wants([](RunStatus* status) { status->progress.verification = {{}}; }));
  EXPECT_TRUE(wants([](RunStatus* status) { status->progress.phase = Phase::kFailed; }));
  status_.progress.phase = Phase::kFinished;
  log->Look(status_);
  EXPECT_FALSE(wants(as_it_is)) << "nothing follows the end";
}

TEST_F(MetricsLogTest, TellsOfTheViewOnce) {
  const auto log = Start();
  log->Look(status_);
  log->Look(status_);
  const std::vector<Json> lines = Lines();
  ASSERT_THAT(Kinds(), ElementsAre("run", "view"));
  EXPECT_EQ(lines[1]["view"], Json::parse("[7, 1]"));
  EXPECT_EQ(lines[1]["num_classes"], 9);
  ASSERT_THAT(lines[1]["members"], SizeIs(3));
  EXPECT_EQ(lines[1]["members"][1], Json::parse(R"({"role": "shard", "id": 1, "host": "h", "pid": 10,
      "address": "h:1", "range": [5, 9], "capacity_bytes": 1000})"));
  EXPECT_FALSE(lines[1]["members"][2].contains("range"));
}

TEST_F(MetricsLogTest, ALifeThatGoesOnSaysFromWhereAndBeginsWithItsOwnFirstStep) {
  status_.progress.resumed_step = 6;
  const auto log = Start();
  LookAt(log.get(), 6);
  EXPECT_EQ(Lines()[0]["resumed_step"], 6);
  LookAt(log.get(), 7);
  EXPECT_THAT(Steps(), ElementsAre(7));
}

TEST_F(MetricsLogTest, SaysOnlyOnceThereIsAViewFromWhereItGoesOn) {
  const std::string folder = absl::StrCat(path_, ".events");
  MetricsLog log(path_, &clock_, {.config = "run.yaml", .version = "1.2.3", .host = "h"},
                 std::make_unique<EventFile>(folder, "1"));
  RunStatus gathering;
  gathering.progress.step = gathering.progress.resumed_step = 2;  // of the checkpoint
  log.Look(gathering);
  EXPECT_EQ(ReadFile(path_).value_or(""), "");
  status_.progress.resumed_step = 6;  // of the members that have come
  LookAt(&log, 6, absl::Seconds(5));
  LookAt(&log, 7);
  const std::vector<Json> lines = Lines();
  ASSERT_THAT(Kinds(), ElementsAre("run", "view", "step"));
  EXPECT_EQ(lines[0]["resumed_step"], 6);
  EXPECT_EQ(lines[0]["time"], 1700000000.0) << "the coordinator's start";
  EXPECT_EQ(lines[1]["elapsed_seconds"], 5.0);
  tensorboard::Event begins_with;
  begins_with.set_wall_time(1700000006);
  begins_with.set_step(7);
  begins_with.mutable_session_log()->set_status(tensorboard::SessionLog::START);
  EXPECT_THAT(ReadFile(folder + "/events.out.tfevents.1").value_or(""),
              HasSubstr(TensorFlowRecord(begins_with.SerializeAsString())));
  std::filesystem::remove_all(folder);
}

TEST_F(MetricsLogTest, AStartThatEndsBeforeThereIsAViewHasItsLinesToo) {
  const auto log = Start();
  RunStatus failed;
  failed.progress.phase = Phase::kFailed;
  failed.progress.waiting_for = "gave up";
  failed.progress.step = failed.progress.resumed_step = 2;
  log->Look(failed);
  ASSERT_THAT(Kinds(), ElementsAre("run", "end"));
  EXPECT_EQ(Lines()[0]["resumed_step"], 2);
  EXPECT_EQ(Lines()[1]["sentence"], "gave up");
}

TEST_F(MetricsLogTest, StepsHaveALineASecondAndTheLastOneAlways) {
  const auto log = Start();
  status_.progress.steps = 9;
  LookAt(log.get(), 1);
  LookAt(log.get(), 2, absl::Milliseconds(999));
  LookAt(log.get(), 3, absl::Milliseconds(1));
  LookAt(log.get(), 3);
  LookAt(log.get(), 8, absl::Milliseconds(1));
  LookAt(log.get(), 9, absl::Milliseconds(1));
  EXPECT_THAT(Steps(), ElementsAre(1, 3, 8, 9));
}

TEST_F(MetricsLogTest, ALongRunsStepsHaveALineInTenSeconds) {
  const auto log = Start();
  LookAt(log.get(), 1, absl::Hours(24 * 30));
  LookAt(log.get(), 2, absl::Seconds(9.9));
  LookAt(log.get(), 3, absl::Seconds(0.1));
  EXPECT_THAT(Steps(), ElementsAre(1, 3));
}

TEST_F(MetricsLogTest, LinesHaveTheDateAndComeAtTheirIntervalsAlthoughItIsSet) {
  const auto log = Start();
  LookAt(log.get(), 1);
  clock_.SetBack(absl::Hours(1));
  LookAt(log.get(), 2);
  clock_.SetForward(absl::Hours(24 * 365));
  LookAt(log.get(), 3, absl::Milliseconds(500));
  LookAt(log.get(), 4, absl::Milliseconds(500));
  EXPECT_THAT(Steps(), ElementsAre(1, 2, 4));
  EXPECT_EQ(Lines().back()["time"], static_cast<double>(absl::ToUnixMillis(clock_.WallTime())) / 1000);
  EXPECT_EQ(Lines().back()["elapsed_seconds"], 3);
}

TEST_F(MetricsLogTest, AStepHasWhatThePhasesTookOfItByRole) {
  const auto log = Start();
  // The heartbeats of two shards and a worker cover ten steps, in each of which the worker has two micro-batches.
  for (int k = 0; k < 2; ++k) {
    status_.members[k].recent = {{"begin", 10, 0.1}, {"pass_1", 20, 1.0 + k}, {"pass_2", 9, 3.0}};
    status_.members[k].stats.resident_bytes = 100 + k;
  }
  status_.members[2].recent = {{"forward", 20, 4.0}, {"vote", 10, 1.0}, {"evaluation", 1, 9.0}};
  status_.progress.loss = 2.5;
  LookAt(log.get(), 5);
  const Json step = Lines().back();
  EXPECT_EQ(step["loss"], 2.5);
  EXPECT_EQ(step["phases"], Json::parse(R"({"worker": {"forward": 0.4, "vote": 0.1},
                                            "shard": {"begin": 0.01, "pass_1": 0.15, "pass_2": 0.3}})"));
  EXPECT_EQ(step["resident_bytes"], Json::parse(R"({"worker": 0, "shard": 101})"));
}

TEST_F(MetricsLogTest, WhatIsNotANumberIsNull) {
  const auto log = Start();
  status_.progress.loss = std::numeric_limits<double>::quiet_NaN();
  LookAt(log.get(), 5);
  EXPECT_TRUE(Lines().back()["loss"].is_null());
}

TEST_F(MetricsLogTest, EachVerificationHasALine) {
  const auto log = Start();
  status_.progress.verification = {{.name = "lfw\xff", .accuracy = 0.5, .pairs = 6}};
  status_.progress.best_accuracy = 0.5;
  log->Look(status_);
  log->Look(status_);
  status_.progress.verification[0].accept_rates = {{.far = 0.001, .tar = 0.25, .false_accepts = 3}};
  status_.progress.verification_step = 5;
  log->Look(status_);
  EXPECT_THAT(Kinds(), ElementsAre("run", "view", "verification", "verification"));
  const std::vector<Json> lines = Lines();
  EXPECT_EQ(lines[2]["step"], 0);
  EXPECT_EQ(lines[2]["sets"][0]["accuracy"], 0.5);
  EXPECT_EQ(lines[2]["best_accuracy"], 0.5);
  EXPECT_EQ(lines[3]["step"], 5);
  EXPECT_EQ(lines[3]["sets"][0]["accept_rates"][0]["false_accepts"], 3);
}

TEST_F(MetricsLogTest, EachRecoveryHasALine) {
  const auto log = Start();
  LookAt(log.get(), 17);
  status_.view = {7, 2};
  status_.progress.recoveries = 1;
  status_.last_recovery =
      RecoverySummary{.lost = {{LostRole::kShard, "shard 1 (pid 10 on h)", "at step 18: stream broken"},
                               {LostRole::kCoordinator, "the coordinator", ""}},
                      .step = 17,
                      .took = absl::Milliseconds(2500),
                      .replayed_steps = 7,
                      .lost_steps = 2,
                      .sentence = "shard 1 was lost"};
  log->Look(status_);
  log->Look(status_);
  EXPECT_THAT(Kinds(), ElementsAre("run", "view", "step", "view", "recovery"));
  EXPECT_EQ(Lines().back(),
            Json::parse(R"json({"kind": "recovery", "time": 1700000001.0, "elapsed_seconds": 1.0, "step": 17,
      "lost": [{"role": "shard", "name": "shard 1 (pid 10 on h)", "why": "at step 18: stream broken"},
               {"role": "coordinator", "name": "the coordinator", "why": ""}],
      "seconds": 2.5, "replayed_steps": 7, "lost_steps": 2, "sentence": "shard 1 was lost"})json"));
}

TEST_F(MetricsLogTest, AfterARollbackStepsAreLoggedAgain) {
  const auto log = Start();
  LookAt(log.get(), 5);
  LookAt(log.get(), 3);
  LookAt(log.get(), 4);
  EXPECT_THAT(Steps(), ElementsAre(5, 3, 4));
}

TEST_F(MetricsLogTest, TheEndIsTheLastLineAndSaysHow) {
  const auto log = Start();
  LookAt(log.get(), 7);
  status_.members.clear();  // as at the end of a run
  status_.progress.phase = Phase::kFailed;
  status_.progress.waiting_for = "worker 1 died";
  LookAt(log.get(), 8, absl::ZeroDuration());
  LookAt(log.get(), 9);
  EXPECT_THAT(Kinds(), ElementsAre("run", "view", "step", "step", "end"));
  const Json end = Lines().back();
  EXPECT_EQ(end["outcome"], "failed");
  EXPECT_EQ(end["sentence"], "worker 1 died");
  EXPECT_EQ(end["step"], 8);
}

TEST_F(MetricsLogTest, ARunThatEndsBeforeItsLastStepWasStopped) {
  const auto stopped = Start();
  status_.progress.phase = Phase::kFinished;
  LookAt(stopped.get(), 7);
  EXPECT_EQ(Lines().back()["outcome"], "stopped");
  const auto finished = Start();
  LookAt(finished.get(), 100000);
  EXPECT_EQ(Lines().back()["outcome"], "finished");
}

TEST_F(MetricsLogTest, ACoordinatorThatStartsAgainAppends) {
  LookAt(Start().get(), 1);
  LookAt(Start().get(), 1);
  EXPECT_THAT(Kinds(), ElementsAre("run", "view", "step", "run", "view", "step"));
}

TEST_F(MetricsLogTest, ALineThatWasCutOffStaysAlone) {
  ASSERT_TRUE(WriteFileAtomically(path_, "{\"kind\": \"st").ok());
  Start()->Look(status_);
  EXPECT_THAT(Kinds(), ElementsAre("damaged", "run", "view"));
}

TEST_F(MetricsLogTest, WhatCannotBeWrittenEndsNoRunAndIsTriedAgain) {
  ASSERT_EQ(mkdir(path_.c_str(), 0700), 0);  // a folder has the name of the file
  const auto log = Start();
  LookAt(log.get(), 1);
  EXPECT_FALSE(log->complete());
  ASSERT_EQ(rmdir(path_.c_str()), 0);
  LookAt(log.get(), 2);
  EXPECT_THAT(Steps(), ElementsAre(2));
}

TEST_F(MetricsLogTest, AFullDiskEndsNoRun) {
  MetricsLog log("/dev/full", &clock_, {});
  LookAt(&log, 1);
  EXPECT_FALSE(log.complete());
}

}  // namespace
}  // namespace arcshard::coordinator
