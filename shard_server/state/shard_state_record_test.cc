// What a ShardState shows of the steps that it has carried out, for a run that keeps them (run.record).
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

constexpr View kSecond{1, 3};

TEST(ShardStateRecordTest, EveryStepIsShownOnceWhenItIsCarriedOutAndBeforeThatIsReported) {
  const auto run = TestRun::InStep1();
  ASSERT_TRUE(run->TakePart(2).ok());
  ASSERT_TRUE(run->SendStep(3).ok());
  EXPECT_EQ(run->output.carried_out.size(), 2u) << "step 3 is undecided";
  ASSERT_TRUE(run->state.Decide(Skip(3)).ok());
  run->RunAll();
  EXPECT_THAT(run->output.carried_out, ElementsAre("step 1 of workers 0 7 after 0 applied, 0 replayed",
                                                   "step 2 of workers 0 7 after 1 applied, 0 replayed",
                                                   "step 3 of workers 0 7 after 2 applied, 0 replayed"));
}

TEST(ShardStateRecordTest, AVoidStepIsNotShown) {
  const auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->Enter(RollbackTo(kSecond, {}), PlanOf(1)).ok());
  EXPECT_THAT(run->output.carried_out, IsEmpty());
}

TEST(ShardStateRecordTest, ReplayedStepsAreShownWithTheWorkersThatComputedThem) {
  const auto peer = TestRun::InStep1(TestRun::OptionsWithLog(100));
  ASSERT_TRUE(peer->TakePart(2).ok());
  const auto records = peer->Records({}, 2);
  TestRun run(TestRun::OptionsWithLog(100));
  ViewAnnouncement view = ViewAfter(kSecond, Commit(2));
  view.workers.pop_back();
  ASSERT_TRUE(run.state.JoinView(view, &run.head).ok());
  run.RunAll();
  for (const auto& record : records) ASSERT_TRUE(run.state.Record(kSecond, record).ok());
  run.state.ReplayEnded(kSecond, absl::OkStatus());
  run.RunAll();
  ASSERT_EQ(run.output.joined.size(), 1u);
  EXPECT_THAT(run.output.carried_out, ElementsAre("step 1 of workers 0 7 after 0 applied, 0 replayed",
                                                  "step 2 of workers 0 7 after 0 applied, 1 replayed"));
}

TEST(ShardStateRecordTest, WhereAStepCannotBeKeptTheShardEnds) {
  const auto run = TestRun::InStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  run->output.keep_failure = absl::ResourceExhaustedError("the disk is full");
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  EXPECT_EQ(run->state.RunOne(), run->output.keep_failure);
  EXPECT_THAT(run->output.applied, IsEmpty());
}

}  // namespace
}  // namespace arcshard::shard
