#include "coordinator/policy/counting.h"

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

TEST(CountStep, ACommitEndsARowOfSkips) {
  RunCounters counters;
  CountStep(Skip(), false, &counters);
  CountStep(Skip(), false, &counters);
  EXPECT_EQ(counters.skips_in_a_row, 2u);
  CountStep(Commit(), false, &counters);
  EXPECT_EQ(counters.skips_in_a_row, 0u);
  EXPECT_EQ(counters.skipped, 2u);
}

TEST(CountStep, CorruptRecordsOfAnEpochStartAnewWithTheNextOne) {
  RunCounters counters;
  CountStep(Commit(2), true, &counters);
  CountStep(Skip(3), false, &counters);
  EXPECT_EQ(counters.corrupt_in_epoch, 5u);
  CountStep(Commit(1), true, &counters);
  EXPECT_EQ(counters.corrupt_in_epoch, 1u);
  EXPECT_EQ(counters.corrupt_records, 6u);
}

TEST(CheckCounters, TooManySkipsInARowAreAFailureOfTheCulprit) {
  RunConfig config;
  config.run.max_skips = 2;
  RunCounters counters;
  CountStep(Skip(), false, &counters);
  EXPECT_TRUE(CheckCounters(counters, config, 100, 7, Skip()).ok());
  CountStep(Skip(), false, &counters);
  const absl::Status status = CheckCounters(counters, config, 100, 8, Skip());
  EXPECT_TRUE(absl::IsAborted(status));
  EXPECT_EQ(status.message(),
            "2 steps in a row were not finite (run.max_skips), step 8 because of worker 1: the loss is not finite");
  EXPECT_EQ(DetailsOf(status).pid, 21);
}

TEST(CheckCounters, TheAllowedShareOfCorruptRecordsIsNoFailureYet) {
  RunConfig config;
  config.data.max_corrupt_share = 0.02;
  RunCounters counters;
  CountStep(Commit(2), true, &counters);
  EXPECT_TRUE(CheckCounters(counters, config, 100, 1, Commit(2)).ok());
  CountStep(Commit(1), false, &counters);
  EXPECT_TRUE(absl::IsDataLoss(CheckCounters(counters, config, 100, 2, Commit(1))));
}

}  // namespace
}  // namespace arcshard::coordinator
