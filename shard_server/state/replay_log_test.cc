#include "shard_server/state/replay_log.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shard_server/state/record_applier.h"
#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;

TEST(ReplayLogTest, ARecordOfANewStepIsEmptyAndUndecided) {
  ReplayLog log;
  ReplayRecord* const first = log.Append(kView, PlanOf(1).plan);
  first->micro_batches[0].labels = {1, 2};
  first->groups = {{0}};
  EXPECT_EQ(log.bytes(), 2 * sizeof(int64_t));
  EXPECT_EQ(log.Decide(Commit(1, 0.25)), first);
  EXPECT_EQ(first->outcome, Outcome::kCommit);
  EXPECT_EQ(first->lr, 0.25);

  log.ReleaseBefore(2);
  const ReplayRecord* const second = log.Append(kView, PlanOf(2).plan);
  EXPECT_EQ(second->plan, PlanOf(2).plan);
  EXPECT_EQ(second->view, kView);
  EXPECT_TRUE(second->micro_batches[0].labels.empty());
  EXPECT_TRUE(second->groups.empty());
  EXPECT_EQ(second->outcome, std::nullopt);
  EXPECT_EQ(log.bytes(), 0u);
}

TEST(ReplayLogTest, RecordsStayWhereTheyAreUntilTheyAreReleased) {
  ReplayLog log;
  std::vector<const ReplayRecord*> records;
  for (uint64_t step = 1; step <= 4; ++step) {
    records.push_back(log.Append(kView, PlanOf(step).plan));
    log.Decide(Skip(step));
  }
  ASSERT_EQ(log.size(), 4u);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(&log[i], records[i]);
    EXPECT_EQ(log[i].plan.step, i + 1);
  }
  log.ReleaseBefore(3);
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0].plan.step, 3u);
  EXPECT_EQ(log[1].plan.step, 4u);
}

TEST(ReplayLogTest, TheBuffersOfReleasedRecordsAreReused) {
  ReplayLog log;
  ReplayRecord* const first = log.Append(kView, PlanOf(1).plan);
  first->micro_batches[0].embedding.resize(100);
  const float* const buffer = first->micro_batches[0].embedding.data();
  log.Decide(Commit(1));
  log.Append(kView, PlanOf(2).plan);
  log.Decide(Commit(2));
  log.ReleaseBefore(2);
  ReplayRecord* const third = log.Append(kView, PlanOf(3).plan);
  EXPECT_EQ(third, first);
  third->micro_batches[0].embedding.resize(100);
  EXPECT_EQ(third->micro_batches[0].embedding.data(), buffer);
}

TEST(RecordApplierTest, ACommittedRecordUpdatesTheHeadGroupByGroupAndASkippedOneDoesNot) {
  ReplayLog log;
  ReplayRecord* const record = log.Append(kView, PlanOf(1).plan);
  for (uint32_t m = 0; m < 3; ++m) {
    record->micro_batches[m].labels = LabelsOf(m);
    record->micro_batches[m].embedding = EmbeddingOf(1, m);
    record->micro_batches[m].r.assign(SizeOf(m), static_cast<float>(m));
    record->micro_batches[m].t.assign(SizeOf(m), 0.0f);
  }
  record->groups = {{2, 0}, {1}};
  log.Decide(Commit(1, 0.25));
  FakeHead head;
  RecordApplier applier;
  ASSERT_TRUE(applier.Apply(*record, &head).ok());
  ASSERT_TRUE(applier.Apply(*record, &head).ok());  // a record can be applied again
  log.Append(kView, PlanOf(2).plan);
  ASSERT_TRUE(applier.Apply(*log.Decide(Skip(2)), &head).ok());
  EXPECT_THAT(head.updates, ElementsAre("lr 0.25 | 3:2 1:0 | 2:1", "lr 0.25 | 3:2 1:0 | 2:1", "discard"));
}

}  // namespace
}  // namespace arcshard::shard
