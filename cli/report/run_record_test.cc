#include "cli/report/run_record.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;
using ::testing::SizeIs;

constexpr char kRun[] =
    R"({"kind":"run","time":1700000000.5,"version":"0.1","config":"a.yaml","incarnation":1,"host":"h"})"
    "\n";

std::string Step(uint64_t step, const std::string& more = "") {
  return absl::StrCat(R"({"kind":"step","time":1700000001,"step":)", step, more, "}\n");
}
std::string Verification(uint64_t step) {
  return absl::StrCat(R"({"kind":"verification","time":1700000001,"step":)", step,
                      R"(,"sets":[{"name":"lfw","accuracy":0.5,"pairs":6,"accept_rates":[{"far":0.001,"tar":0.25}]}]})",
                      "\n");
}
std::vector<uint64_t> StepsOf(const RunRecord& record) {
  std::vector<uint64_t> steps;
  for (const RunRecord::Step& step : record.steps) steps.push_back(step.step);
  return steps;
}

TEST(RunRecordTest, ReadsWhatTheCoordinatorWrites) {
  const RunRecord record = ReadRunRecord(absl::StrCat(
      kRun,
      R"({"kind":"view","time":1700000001,"view":[1,1],"num_classes":9,"steps":20,"members":[)"
      R"({"role":"shard","id":0,"host":"h","pid":3,"address":"h:1","range":[0,9],"capacity_bytes":100},)"
      R"({"role":"worker","id":0,"host":"h","pid":4,"address":"h:2"}]})"
      "\n",
      Step(1, R"(,"loss":2.5,"skipped":1,"phases":{"worker":{"forward":0.5,"loss":0.1},"shard":{}})"
              R"(,"resident_bytes":{"worker":100,"shard":200})"),
      Verification(1), R"({"kind":"end","time":1700000003,"outcome":"failed","sentence":"gone","step":1})", "\n"));
  EXPECT_EQ(record.damaged_lines, 0u);
  ASSERT_THAT(record.lives, SizeIs(1));
  EXPECT_EQ(record.lives[0].began, absl::FromUnixMillis(1700000000500));
  EXPECT_EQ(record.lives[0].last, absl::FromUnixSeconds(1700000003));
  EXPECT_EQ(record.lives[0].outcome, "failed");
  EXPECT_EQ(record.lives[0].sentence, "gone");
  EXPECT_EQ(record.lives[0].config, "a.yaml");
  ASSERT_THAT(record.members, SizeIs(2));
  EXPECT_EQ(record.members[0].range, (ClassRange{0, 9}));
  EXPECT_EQ(record.num_classes, 9);
  EXPECT_EQ(record.planned_steps, 20u);
  ASSERT_THAT(record.steps, SizeIs(1));
  EXPECT_EQ(record.steps[0].loss, 2.5);
  EXPECT_TRUE(std::isnan(record.steps[0].lr));
  EXPECT_THAT(record.steps[0].worker, ElementsAre(Pair("forward", 0.5), Pair("loss", 0.1)));
  EXPECT_EQ(record.steps[0].shard_bytes, 200);
  ASSERT_THAT(record.verifications, SizeIs(1));
  EXPECT_EQ(record.verifications[0].sets[0].accept_rates[0].tar, 0.25);
}

TEST(RunRecordTest, DamagedLinesAreNamedAndSkipped) {
  std::string text = absl::StrCat(kRun, "{\"kind\": \"st\n", Step(1), "[]\n{}\n{\"kind\":\"step\",\"time\":1}\n");
  absl::StrAppend(&text, "{\"kind\":\"step\",\"step\":1}\n\xff\n", Step(2));
  const RunRecord record = ReadRunRecord(text);
  EXPECT_THAT(StepsOf(record), ElementsAre(1, 2));
  EXPECT_EQ(record.damaged_lines, 6u);
  EXPECT_THAT(record.damaged,
              ElementsAre("line 2: it is not a JSON object", "line 4: it is not a JSON object",
                          "line 5: it has no kind", "line 6: it has no step", "line 7: it has no time"));
}

TEST(RunRecordTest, ALastLineThatIsBeingWrittenIsNoDamage) {
  const RunRecord record = ReadRunRecord(absl::StrCat(kRun, Step(1), "{\"kind\":"));
  EXPECT_THAT(StepsOf(record), ElementsAre(1));
  EXPECT_EQ(record.damaged_lines, 0u);
}

TEST(RunRecordTest, WhatALaterLifeDecidesAgainReplacesWhatFollowed) {
  const RunRecord record = ReadRunRecord(
      absl::StrCat(kRun, Step(1), Step(5), Verification(5), Step(9), Verification(9), kRun, Step(5), Step(6)));
  EXPECT_THAT(StepsOf(record), ElementsAre(1, 5, 6));
  ASSERT_THAT(record.verifications, SizeIs(1));
  EXPECT_EQ(record.verifications[0].step, 5u);
  EXPECT_THAT(record.lives, SizeIs(2));
}

TEST(RunRecordTest, ALifeThatResumesFromACheckpointUndoesTheStepsAfterIt) {
  const auto run = [](uint64_t resumed_step) {
    return absl::StrCat(R"({"kind":"run","time":1700000002,"incarnation":2,"resumed_step":)", resumed_step, "}\n");
  };
  const std::string first = absl::StrCat(kRun, Step(1), Step(5), Verification(5), Step(8), Verification(8));
  const RunRecord record = ReadRunRecord(absl::StrCat(first, run(6)));
  EXPECT_THAT(StepsOf(record), ElementsAre(1, 5));
  ASSERT_THAT(record.verifications, SizeIs(1));
  EXPECT_EQ(record.verifications[0].step, 5u);
  EXPECT_THAT(StepsOf(ReadRunRecord(absl::StrCat(first, run(6), Step(9)))), ElementsAre(1, 5, 9));
  const RunRecord anew = ReadRunRecord(absl::StrCat(first, run(0)));
  EXPECT_THAT(anew.steps, IsEmpty());
  EXPECT_THAT(anew.verifications, IsEmpty());
  EXPECT_THAT(anew.lives, SizeIs(2));
}

std::string Recovery(uint64_t step, uint64_t lost_steps) {
  return absl::StrCat(R"({"kind":"recovery","time":1700000002,"step":)", step,
                      R"x(,"lost":[{"role":"shard","name":"shard 1 (pid 5 on h)","why":"at step 7: gone"},7],)x"
                      R"("seconds":2.5,"replayed_steps":3,"lost_steps":)",
                      lost_steps, R"(,"sentence":"shard 1 was lost"})", "\n");
}

TEST(RunRecordTest, ARecoverySaysWhatWasLostAndWhatItTook) {
  const RunRecord record = ReadRunRecord(absl::StrCat(kRun, Step(6), Recovery(7, 0), Step(8)));
  EXPECT_EQ(record.damaged_lines, 0u);
  ASSERT_THAT(record.recoveries, SizeIs(1));
  const RunRecord::Recovery& recovery = record.recoveries[0];
  EXPECT_EQ(recovery.ended, absl::FromUnixSeconds(1700000002));
  EXPECT_EQ(recovery.step, 7u);
  EXPECT_THAT(recovery.lost, ElementsAre("shard 1 (pid 5 on h)"));
  EXPECT_EQ(recovery.seconds, 2.5);
  EXPECT_EQ(recovery.replayed_steps, 3u);
  EXPECT_EQ(recovery.sentence, "shard 1 was lost");
  EXPECT_EQ(record.lost_steps(), 0u);
  EXPECT_THAT(StepsOf(record), ElementsAre(6, 8));
}

TEST(RunRecordTest, ARollbackUndoesTheStepsAfterItWithoutANewLife) {
  const RunRecord record =
      ReadRunRecord(absl::StrCat(kRun, Step(1), Step(5), Verification(5), Step(8), Verification(8), Recovery(5, 3)));
  EXPECT_THAT(StepsOf(record), ElementsAre(1, 5));
  ASSERT_THAT(record.verifications, SizeIs(1));
  EXPECT_EQ(record.verifications[0].step, 5u);
  EXPECT_THAT(record.lives, SizeIs(1));
  EXPECT_EQ(record.lost_steps(), 3u);
}

TEST(RunRecordTest, RecoveriesAreThoseOfAllLivesSinceTheRunBegan) {
  const auto run = [](uint64_t resumed_step) {
    return absl::StrCat(R"({"kind":"run","time":1700000002,"incarnation":2,"resumed_step":)", resumed_step, "}\n");
  };
  const std::string both = absl::StrCat(run(0), Recovery(5, 1), run(5), Recovery(6, 2));
  EXPECT_THAT(ReadRunRecord(both).recoveries, SizeIs(2));
  EXPECT_EQ(ReadRunRecord(both).lost_steps(), 3u);
  EXPECT_THAT(ReadRunRecord(absl::StrCat(both, run(0))).recoveries, IsEmpty());
}

TEST(RunRecordTest, ACoordinatorThatWasStartedAgainUndoesNothingThatMembersHeld) {
  const std::string first =
      absl::StrCat(kRun, Step(5), Recovery(6, 0), Step(8), Verification(8), Step(9), Verification(9));
  const std::string again = absl::StrCat(
      R"({"kind":"run","time":1700000002,"incarnation":2,"resumed_step":8})", "\n",
      R"({"kind":"recovery","time":1700000004,"step":8,"lost":[{"role":"coordinator","name":"the coordinator"}]})",
      "\n");
  const RunRecord record = ReadRunRecord(absl::StrCat(first, again, Step(10)));
  EXPECT_THAT(StepsOf(record), ElementsAre(5, 8, 10));
  ASSERT_THAT(record.verifications, SizeIs(1));
  EXPECT_EQ(record.verifications[0].step, 8u);
  EXPECT_THAT(record.recoveries, SizeIs(2));
  EXPECT_EQ(record.starts(), 2u);
}

TEST(RunRecordTest, ACoordinatorThatFoundNoStateUndoesWhatIsAfterItsCheckpoint) {
  const std::string run = absl::StrCat(R"({"kind":"run","time":1700000002,"incarnation":2,"resumed_step":5})", "\n");
  const std::string worker =
      absl::StrCat(R"({"kind":"recovery","time":1,"step":8,"lost":[{"role":"worker","name":"worker 0"}]})", "\n");
  const RunRecord record = ReadRunRecord(absl::StrCat(kRun, Step(5), Step(8), run, Step(6), worker));
  EXPECT_THAT(StepsOf(record), ElementsAre(5, 6));
}

TEST(RunRecordTest, ARecoveryWithoutAStepIsDamagedAndOneWithoutTheRestIsNot) {
  const RunRecord record = ReadRunRecord(absl::StrCat(kRun, R"({"kind":"recovery","time":1})", "\n",
                                                      R"({"kind":"recovery","time":1,"step":2,"lost":"x"})", "\n"));
  EXPECT_THAT(record.damaged, ElementsAre("line 2: it has no step"));
  ASSERT_THAT(record.recoveries, SizeIs(1));
  EXPECT_THAT(record.recoveries[0].lost, IsEmpty());
  EXPECT_TRUE(std::isnan(record.recoveries[0].seconds));
}

// A life's first and last line.
std::string LifeOf(double began, double ended, double elapsed, const std::string& resumed) {
  return absl::StrCat(R"({"kind":"run","time":)", began, R"(,"elapsed_seconds":0)", resumed, "}\n",
                      R"({"kind":"end","time":)", ended, R"(,"elapsed_seconds":)", elapsed, R"(,"outcome":"stopped"})",
                      "\n");
}

TEST(RunRecordTest, TheTimeIsThatOfAllLivesSinceTheRunBeganAndNotOfThePausesBetween) {
  const std::string lives =
      absl::StrCat(LifeOf(1000, 1100, 100, R"(,"resumed_step":0)"), LifeOf(5000, 5030, 30, R"(,"resumed_step":7)"));
  EXPECT_EQ(ReadRunRecord(lives).took(), absl::Seconds(130));
  EXPECT_EQ(ReadRunRecord(lives).starts(), 2u);
  const RunRecord anew = ReadRunRecord(absl::StrCat(lives, LifeOf(9000, 9005, 5, R"(,"resumed_step":0)")));
  EXPECT_EQ(anew.took(), absl::Seconds(5));
  EXPECT_EQ(anew.starts(), 1u);
  EXPECT_EQ(ReadRunRecord("").took(), absl::ZeroDuration());
}

TEST(RunRecordTest, ASetDateDoesNotChangeTheTime) {
  EXPECT_EQ(ReadRunRecord(LifeOf(5000, 1400, 60, "")).took(), absl::Seconds(60));
  EXPECT_EQ(ReadRunRecord(LifeOf(5000, 900000, 60, "")).took(), absl::Seconds(60));
}

TEST(RunRecordTest, AFileWithoutElapsedSecondsHasTheTimeOfItsDates) {
  EXPECT_EQ(ReadRunRecord(absl::StrCat(kRun, Step(1))).took(), absl::Milliseconds(500));
}

TEST(RunRecordTest, TheBestVerificationIsOneOfTheSetsThatTheLastOneHas) {
  const auto verified = [](uint64_t step, double accuracy, const std::string& set) {
    return absl::StrCat(R"({"kind":"verification","time":1700000001,"step":)", step, R"(,"sets":[{"name":")", set,
                        R"(","accuracy":)", accuracy, "}]}\n");
  };
  const std::string easy = absl::StrCat(kRun, verified(5, 0.99, "easy"));
  EXPECT_EQ(ReadRunRecord(easy).best.step, 5u);
  const RunRecord hard = ReadRunRecord(absl::StrCat(easy, verified(10, 0.7, "hard"), verified(15, 0.6, "hard")));
  EXPECT_EQ(hard.best.step, 10u);
  EXPECT_EQ(hard.best.accuracy, 0.7);
}

TEST(RunRecordTest, AVerificationMayStandBeforeTheLineOfItsStep) {
  EXPECT_THAT(ReadRunRecord(absl::StrCat(kRun, Verification(5), Step(5))).verifications, SizeIs(1));
}

TEST(RunRecordTest, ValuesOfOtherTypesAreMissingOnes) {
  const RunRecord record =
      ReadRunRecord(absl::StrCat(R"({"kind":"view","time":1,"num_classes":-1,"members":[7,{"role":3,"range":[5,1]},)"
                                 R"({"range":[0,99999999999999999999]}]})",
                                 "\n", Step(1, R"(,"loss":"x","phases":[1],"resident_bytes":null)"),
                                 R"({"kind":"verification","time":1,"step":1,"sets":[4,{"accept_rates":{}}]})", "\n",
                                 R"({"kind":"unheard of","time":1})", "\n"));
  EXPECT_EQ(record.damaged_lines, 0u);
  EXPECT_EQ(record.num_classes, 0);
  ASSERT_THAT(record.members, SizeIs(2));
  EXPECT_EQ(record.members[0].range, ClassRange());
  EXPECT_EQ(record.members[1].range, ClassRange());
  EXPECT_TRUE(std::isnan(record.steps[0].loss));
  EXPECT_THAT(record.steps[0].worker, IsEmpty());
  EXPECT_THAT(record.verifications[0].sets, SizeIs(1));
}

TEST(RunRecordTest, NothingIsAnEmptyRecord) {
  const RunRecord record = ReadRunRecord("");
  EXPECT_THAT(record.lives, IsEmpty());
  EXPECT_EQ(record.damaged_lines, 0u);
}

}  // namespace
}  // namespace arcshard::cli
