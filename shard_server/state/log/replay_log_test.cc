#include "shard_server/state/log/replay_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shard_server/state/log/record_applier.h"
#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Adds so many committed steps.
void AddSteps(ReplayLog& log, uint64_t steps) {
  for (uint64_t i = 0; i < steps; ++i) {
    const uint64_t step = log.newest().step + 1;
    log.Append(kView, PlanOf(step).plan);
    log.Decide(Commit(step));
  }
}

TEST(ReplayLogTest, ARecordOfANewStepIsEmptyAndUndecided) {
  ReplayLog log;
  ReplayRecord* const first = log.Append(kView, PlanOf(1).plan);
  first->micro_batches[0].labels = {1, 2};
  first->groups = {{0}};
  EXPECT_EQ(log.bytes(), 2 * sizeof(int64_t));
  EXPECT_EQ(log.undecided_bytes(), 2 * sizeof(int64_t));
  const Decision decision = Commit(1, 0.25);
  EXPECT_EQ(log.Decide(decision).get(), first);
  EXPECT_EQ(first->outcome, Outcome::kCommit);
  EXPECT_EQ(first->lr, 0.25);
  EXPECT_EQ(first->after, decision.after());
  EXPECT_EQ(log.newest(), decision.after());
  EXPECT_EQ(log.undecided_bytes(), 0u);

  log.ReleaseThrough(1);
  const ReplayRecord* const second = log.Append({1, 3}, PlanOf(2).plan);
  EXPECT_EQ(second, first) << "its memory is used again";
  EXPECT_EQ(second->plan, PlanOf(2).plan);
  EXPECT_EQ(second->view, (View{1, 3}));
  EXPECT_EQ(second->key(1), (Key{{1, 3}, 2, 1}));
  EXPECT_TRUE(second->micro_batches[0].labels.empty());
  EXPECT_TRUE(second->groups.empty());
  EXPECT_EQ(second->outcome, std::nullopt);
  EXPECT_EQ(second->after, StatePoint());
  EXPECT_EQ(log.bytes(), 0u);
}

TEST(ReplayLogTest, RecordsAreFoundByTheStateBeforeThemUntilTheyAreReleased) {
  ReplayLog log;
  AddSteps(log, 4);
  log.Append(kView, PlanOf(5).plan);
  EXPECT_EQ(log.size(), 5u);
  for (uint64_t step = 1; step <= 4; ++step) EXPECT_EQ((*log.After(PointAfter(step - 1)))->plan.step, step);
  EXPECT_EQ(log.After(PointAfter(4)).status().code(), absl::StatusCode::kOutOfRange);
  log.ReleaseThrough(2);
  EXPECT_EQ(log.size(), 3u);
  EXPECT_EQ(log.start(), PointAfter(2));
  EXPECT_EQ(log.After(PointAfter(1)).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ((*log.After(PointAfter(2)))->plan.step, 3u);
  const absl::Status other = log.After({3, 0xabc}).status();
  EXPECT_EQ(other.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(other.message()),
              HasSubstr("the log has the steps after 2 up to 4, and does not pass the state after step 3 with the "
                        "lineage abc"));
  log.ReleaseThrough(9);
  EXPECT_EQ(log.size(), 1u) << "the undecided one stays";
  EXPECT_EQ(log.start(), PointAfter(4));
}

TEST(ReplayLogTest, PassesTheStatesBeforeAndAfterItsRecords) {
  ReplayLog log;
  log.Restart(PointAfter(2));
  EXPECT_TRUE(log.Passes(PointAfter(2)));
  EXPECT_FALSE(log.Passes(PointAfter(3)));
  AddSteps(log, 2);
  for (const uint64_t step : {2, 3, 4}) EXPECT_TRUE(log.Passes(PointAfter(step)));
  for (const uint64_t step : {1, 5}) EXPECT_FALSE(log.Passes(PointAfter(step)));
  EXPECT_FALSE(log.Passes({3, 0xabc}));
}

TEST(ReplayLogTest, AVoidRecordIsGoneAndTheStepBeginsAnew) {
  ReplayLog log;
  AddSteps(log, 1);
  ReplayRecord* const before = log.Append(kView, PlanOf(2).plan);
  before->micro_batches[0].labels = {1, 2};
  log.Void();
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(log.bytes(), 0u);
  EXPECT_EQ(log.Append({1, 3}, PlanOf(2).plan), before) << "its memory is used again";
}

TEST(ReplayLogTest, RecordsOfAnotherLogFollowItsOwn) {
  ReplayLog peer, log;
  AddSteps(peer, 3);
  AddSteps(log, 1);
  log.Add(*peer.After(PointAfter(1)));
  EXPECT_EQ(log.newest(), PointAfter(2));
  EXPECT_EQ(*log.After(PointAfter(1)), *peer.After(PointAfter(1)));
  log.Restart(PointAfter(2));
  log.Add(*peer.After(PointAfter(2)));
  EXPECT_EQ(log.size(), 1u);
  EXPECT_EQ(log.start(), PointAfter(2));
}

TEST(ReplayLogTest, ItsBytesAreThoseOfItsRecords) {
  ReplayLog log;
  for (uint64_t step = 1; step <= 3; ++step) {
    log.Append(kView, PlanOf(step).plan)->micro_batches[1].labels.resize(step);
    log.Decide(Commit(step));
  }
  EXPECT_EQ(log.bytes(), 6 * sizeof(int64_t));
  log.ReleaseThrough(1);
  EXPECT_EQ(log.bytes(), 5 * sizeof(int64_t));
  log.Restart({});
  EXPECT_EQ(log.bytes(), 0u);
}

TEST(ReplayLogTest, ARecordThatSomebodyReadsIsNotUsedAgain) {
  ReplayLog log;
  log.Append(kView, PlanOf(1).plan)->micro_batches[0].labels = {1, 2};
  log.Decide(Commit(1));
  std::shared_ptr<const ReplayRecord> read = *log.After({});
  log.ReleaseThrough(1);
  const ReplayRecord* const second = log.Append(kView, PlanOf(2).plan);
  EXPECT_NE(second, read.get());
  EXPECT_THAT(read->micro_batches[0].labels, ElementsAre(1, 2));
  log.Decide(Commit(2));
  const ReplayRecord* const first = read.get();
  read.reset();
  EXPECT_EQ(log.Append(kView, PlanOf(3).plan), first);
}

TEST(ReplayLogTest, ARecordMayBeReadWhenTheLogIsGone) {
  std::shared_ptr<const ReplayRecord> read;
  {
    ReplayLog log;
    AddSteps(log, 1);
    read = *log.After({});
  }
  EXPECT_EQ(read->after, PointAfter(1));
}

// --- RecordApplier

class RecordApplierTest : public testing::Test {
 protected:
  RecordApplierTest() {
    record_.Reset(kView, PlanOf(1).plan);
    for (uint32_t m = 0; m < 3; ++m) {
      record_.micro_batches[m].labels = LabelsOf(m);
      record_.micro_batches[m].embedding = EmbeddingOf(1, m);
      record_.micro_batches[m].r.assign(SizeOf(m), static_cast<float>(m));
      record_.micro_batches[m].t.assign(SizeOf(m), 0.0f);
    }
    record_.groups = {{2, 0}, {1}};
    record_.outcome = Outcome::kCommit;
    record_.lr = 0.25;
    record_.after = Commit(1, 0.25).after();
  }

  ReplayRecord record_;
  FakeHead head_;
  RecordApplier applier_;
};

TEST_F(RecordApplierTest, ACommittedRecordUpdatesTheHeadGroupByGroup) {
  ASSERT_TRUE(head_.Begin(1, {}).ok());
  ASSERT_TRUE(applier_.Apply(record_, &head_).ok());
  EXPECT_THAT(head_.updates, ElementsAre("lr 0.25 | 3:2 1:0 | 2:1"));
}

TEST_F(RecordApplierTest, AReplayBeginsTheStepItself) {
  ASSERT_TRUE(applier_.Replay(record_, &head_).ok());
  EXPECT_THAT(head_.begun, ElementsAre("step 1: "));
  EXPECT_THAT(head_.updates, ElementsAre("lr 0.25 | 3:2 1:0 | 2:1"));
  head_.set_sample_rate(0.1);
  ASSERT_TRUE(applier_.Replay(record_, &head_).ok()) << "a record can be replayed again";
  EXPECT_EQ(head_.begun.back(), "step 1: 1 3 2 4 3");
}

TEST_F(RecordApplierTest, ASkippedRecordEndsTheStepWithoutAnUpdate) {
  record_.outcome = Outcome::kSkip;
  ASSERT_TRUE(head_.Begin(1, {}).ok());
  ASSERT_TRUE(applier_.Apply(record_, &head_).ok());
  EXPECT_FALSE(head_.in_a_step);
  ASSERT_TRUE(applier_.Replay(record_, &head_).ok());
  EXPECT_THAT(head_.updates, ElementsAre("discard", "discard"));
}

}  // namespace
}  // namespace arcshard::shard
