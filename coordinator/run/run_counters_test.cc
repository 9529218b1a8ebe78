#include "coordinator/run/run_counters.h"

#include "common/base/failure_details.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

StepVerdict Commit(uint64_t corrupt_records = 0) {
  StepVerdict verdict;
  verdict.corrupt_records = corrupt_records;
  return verdict;
}
StepVerdict Skip(uint64_t corrupt_records = 0) {
  StepVerdict verdict = Commit(corrupt_records);
  verdict.outcome = Outcome::kSkip;
  verdict.reason = "worker 1: the loss is not finite";
  verdict.culprit = 21;
  return verdict;
}

TEST(RunCounters, ReturnFromAManifestAsTheyWentIntoIt) {
  const RunCounters counters{
      .skipped = 4, .skips_in_a_row = 2, .corrupt_records = 5, .corrupt_in_epoch = 1, .best = {0.9, 10, {"lfw"}}};
  Manifest manifest;
  counters.ToManifest(&manifest);
  EXPECT_EQ(manifest.skips_in_a_row, 2u);
  EXPECT_EQ(manifest.best.accuracy, 0.9);
  EXPECT_EQ(RunCounters::FromManifest(manifest), counters);
}

TEST(RunCounters, ACommitEndsARowOfSkips) {
  RunCounters counters;
  counters.CountStep(Skip(), false);
  counters.CountStep(Skip(), false);
  EXPECT_EQ(counters.skips_in_a_row, 2u);
  counters.CountStep(Commit(), false);
  EXPECT_EQ(counters.skips_in_a_row, 0u);
  EXPECT_EQ(counters.skipped, 2u);
}

TEST(RunCounters, CorruptRecordsOfAnEpochStartAnewWithTheNextOne) {
  RunCounters counters;
  counters.CountStep(Commit(2), true);
  counters.CountStep(Skip(3), false);
  EXPECT_EQ(counters.corrupt_in_epoch, 5u);
  counters.CountStep(Commit(1), true);
  EXPECT_EQ(counters.corrupt_in_epoch, 1u);
  EXPECT_EQ(counters.corrupt_records, 6u);
}

TEST(RunCounters, TooManySkipsInARowAreAFailureOfTheCulprit) {
  RunConfig config;
  config.run.max_skips = 2;
  RunCounters counters;
  counters.CountStep(Skip(), false);
  EXPECT_TRUE(counters.Check(config, 100, 7, Skip()).ok());
  counters.CountStep(Skip(), false);
  const absl::Status status = counters.Check(config, 100, 8, Skip());
  EXPECT_TRUE(absl::IsAborted(status));
  EXPECT_EQ(status.message(),
            "2 steps in a row were not finite (run.max_skips), step 8 because of worker 1: the loss is not finite");
  EXPECT_EQ(DetailsOf(status).pid, 21);
}

TEST(RunCounters, TheAllowedShareOfCorruptRecordsIsNoFailureYet) {
  RunConfig config;
  config.data.max_corrupt_share = 0.02;
  RunCounters counters;
  counters.CountStep(Commit(2), true);
  EXPECT_TRUE(counters.Check(config, 100, 1, Commit(2)).ok());
  counters.CountStep(Commit(1), false);
  EXPECT_TRUE(absl::IsDataLoss(counters.Check(config, 100, 2, Commit(1))));
}

}  // namespace
}  // namespace arcshard::coordinator
