#include "coordinator/progress/recovery.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

class RecoveryTest : public ::testing::Test {
 protected:
  static Member MemberOf(Role role, uint32_t id) {
    Member member{.registration = {}, .id = id, .registered = {}, .last_heard = {}};
    member.registration.role = role;
    member.registration.host = "h";
    member.registration.pid = 7;
    return member;
  }
  const MonotonicTime now_ = MonotonicTime() + absl::Seconds(1000);
  Recovery recovery_;
};

TEST_F(RecoveryTest, TellsWhatWasLostWhoRebuiltItAndHowLongItTook) {
  EXPECT_FALSE(recovery_.active());
  recovery_.LoseMember(MemberOf(Role::kShard, 1), "at step 18", "stream broken", now_);
  recovery_.LoseMember(MemberOf(Role::kWorker, 0), "while recovering after step 17", "no sign of life for 9s",
                       now_ + absl::Seconds(1));
  EXPECT_TRUE(recovery_.active());
  recovery_.Joined("shard 0 (pid 3 on h)", {});
  recovery_.Joined("shard 1 (pid 8 on h)", {.replayed_steps = 7, .rebuilt_in_seconds = 2.5});
  recovery_.Joined("worker 0 (pid 9 on h)", {.rebuilt_in_seconds = 0.25});
  const RecoverySummary summary = recovery_.End(17, now_ + absl::Seconds(5));
  ASSERT_EQ(summary.lost.size(), 2u);
  EXPECT_EQ(summary.lost[0].role, LostRole::kShard);
  EXPECT_EQ(summary.lost[0].name, "shard 1 (pid 7 on h)");
  EXPECT_EQ(summary.lost[0].why, "at step 18: stream broken");
  EXPECT_EQ(summary.lost[1].role, LostRole::kWorker);
  EXPECT_EQ(summary.step, 17u);
  EXPECT_EQ(summary.took, absl::Seconds(5));
  EXPECT_EQ(summary.replayed_steps, 7u);
  EXPECT_EQ(summary.lost_steps, 0u);
  EXPECT_EQ(summary.sentence,
            "shard 1 (pid 7 on h) was lost at step 18: stream broken; worker 0 (pid 7 on h) was lost while recovering "
            "after step 17: no sign of life for 9s; shard 1 (pid 8 on h) has replayed 7 steps in 2.5s; worker 0 (pid 9 "
            "on h) has taken over the state in 250ms; the run goes on after step 17, 5s later");
  EXPECT_FALSE(recovery_.active());
  EXPECT_EQ(recovery_.Losses(), "");
}

TEST_F(RecoveryTest, WhoHasRebuiltItsStateBeforeAnythingWasLostIsNotNamed) {
  recovery_.Joined("shard 0 (pid 3 on h)", {.rebuilt_in_seconds = 2.5});
  EXPECT_FALSE(recovery_.active());
  recovery_.LoseMember(MemberOf(Role::kWorker, 0), "at step 18", "stream broken", now_);
  EXPECT_EQ(
      recovery_.End(17, now_).sentence,
      "worker 0 (pid 7 on h) was lost at step 18: stream broken; the run goes on after step 17, less than 1ms later");
}

TEST_F(RecoveryTest, ARollbackIsOneSentenceWithItsReason) {
  recovery_.LoseMember(MemberOf(Role::kWorker, 0), "at step 18", "stream broken", now_);
  EXPECT_EQ(
      recovery_.RollBack(17, 10, "/run/checkpoints/step-00000010.1", "no worker holds the state after step 17"),
      "the run goes back from step 17 to step 10, the checkpoint /run/checkpoints/step-00000010.1, and 7 steps are "
      "lost, because no worker holds the state after step 17");
  EXPECT_EQ(recovery_.End(10, now_).lost_steps, 7u);
  recovery_.LoseCoordinator(8, now_);
  EXPECT_EQ(recovery_.RollBack(1, 0, "", "nobody has it"),
            "the run goes back from step 1 to step 0, the first weights, and 1 step is lost, because nobody has it");
}

TEST_F(RecoveryTest, OfManyLossesSomeAreNamedAndTheOthersCounted) {
  for (uint32_t id = 0; id < 6; ++id) recovery_.LoseMember(MemberOf(Role::kShard, id), "at step 2", "gone", now_);
  EXPECT_THAT(recovery_.Losses(), ::testing::EndsWith("shard 3 (pid 7 on h) was lost at step 2: gone; and 2 more"));
  EXPECT_EQ(recovery_.End(1, now_).lost.size(), 6u);
}

TEST_F(RecoveryTest, WhereOnlyConnectionsWereLostNobodyIsNamed) {
  recovery_.LoseConnections("worker 0: cannot reach shard 1", now_);
  const RecoverySummary summary = recovery_.End(3, now_ + absl::Seconds(1));
  EXPECT_TRUE(summary.lost.empty());
  EXPECT_EQ(summary.sentence,
            "all members connect anew: worker 0: cannot reach shard 1; the run goes on after step 3, 1s later");
}

TEST_F(RecoveryTest, TheCoordinatorsOwnLossCountsFromItsStart) {
  recovery_.LoseCoordinator(8, now_);
  recovery_.LoseMember(MemberOf(Role::kShard, 1), "while recovering after step 17", "gone", now_ + absl::Seconds(3));
  const RecoverySummary summary = recovery_.End(17, now_ + absl::Seconds(4));
  EXPECT_EQ(summary.lost[0].role, LostRole::kCoordinator);
  EXPECT_EQ(summary.took, absl::Seconds(4));
  EXPECT_THAT(summary.sentence,
              ::testing::StartsWith("the coordinator was lost and is back as incarnation 8; shard 1"));
}

}  // namespace
}  // namespace arcshard::coordinator
