#include "shard_server/state/log/log_bounds.h"

#include <gtest/gtest.h>

namespace arcshard::shard {
namespace {

using Room = LogBounds::Room;

constexpr uint64_t kSamples = 10;

LogBounds WithSteps(uint64_t steps, const LogBounds::Options& options = {}) {
  LogBounds bounds(options);
  for (uint64_t step = 1; step <= steps; ++step) {
    bounds.Add(step, 100, kSamples);
    bounds.Computed(step, absl::Seconds(4), absl::Seconds(1));
  }
  return bounds;
}

TEST(LogBoundsTest, AReplayIsPredictedToTakeHalfOfPassOneAndPassTwoOfEachStep) {
  LogBounds bounds = WithSteps(3);
  EXPECT_EQ(bounds.replay_time(), absl::Seconds(9));
  bounds.Add(4, 100, kSamples);
  EXPECT_EQ(bounds.replay_time(), absl::Seconds(9)) << "it was not measured yet";
  bounds.Computed(4, absl::Seconds(2), absl::Seconds(1));
  EXPECT_EQ(bounds.replay_time(), absl::Seconds(11));
  bounds.ReleaseThrough(2);
  EXPECT_EQ(bounds.replay_time(), absl::Seconds(5));
  bounds.Computed(1, absl::Seconds(100), absl::Seconds(100));
  EXPECT_EQ(bounds.replay_time(), absl::Seconds(5)) << "it was released";
  bounds.Clear();
  EXPECT_EQ(bounds.replay_time(), absl::ZeroDuration());
}

TEST(LogBoundsTest, AStepThatWasReplayedCountsAsLongAsItTook) {
  LogBounds bounds{{}};
  bounds.Add(1, 100, kSamples);
  bounds.Replayed(1, absl::Seconds(7));
  EXPECT_EQ(bounds.replay_time(), absl::Seconds(7));
}

TEST(LogBoundsTest, ThePredictionIsCorrectedByWhatReplayedStepsTook) {
  LogBounds bounds{{}};
  bounds.Add(1, 100, kSamples);
  bounds.Replayed(1, absl::Seconds(6));
  bounds.Add(2, 50, kSamples / 2);  // half as many samples
  bounds.Computed(2, absl::Seconds(4), absl::Seconds(0));
  // A sample took 0.6 s in the replay; the prediction is 0.4 s.
  EXPECT_EQ(bounds.replay_time(), absl::Seconds(9));
  bounds.ReleaseThrough(1);
  EXPECT_EQ(bounds.replay_time(), absl::Seconds(3)) << "what was measured is remembered";
}

TEST(LogBoundsTest, ACheckpointIsWantedFromHalfOfEitherBoundOn) {
  const LogBounds by_bytes = WithSteps(3, {.bytes = 1000});
  EXPECT_FALSE(by_bytes.WantsCheckpoint(0, 199));
  EXPECT_TRUE(by_bytes.WantsCheckpoint(0, 200));
  EXPECT_FALSE(by_bytes.WantsCheckpoint(1, 200)) << "a checkpoint will release step 1";
  EXPECT_TRUE(by_bytes.WantsCheckpoint(1, 300));

  const LogBounds by_time = WithSteps(3, {.bytes = 1 << 20, .recovery_target = absl::Seconds(18)});
  EXPECT_TRUE(by_time.WantsCheckpoint(0, 0));
  EXPECT_FALSE(by_time.WantsCheckpoint(1, 0));
  EXPECT_FALSE(WithSteps(2, {.bytes = 1 << 20, .recovery_target = absl::Seconds(18)}).WantsCheckpoint(0, 0));
}

TEST(LogBoundsTest, AtTheBoundOfTheMemory_TheVoteWaitsForACheckpointOrThereIsNoRoom) {
  const LogBounds bounds = WithSteps(3, {.bytes = 1000});
  EXPECT_EQ(bounds.RoomFor(700, true), Room::kEnough);
  EXPECT_EQ(bounds.RoomFor(700, false), Room::kEnough);
  EXPECT_EQ(bounds.RoomFor(701, true), Room::kAwaitsCheckpoint);
  EXPECT_EQ(bounds.RoomFor(701, false), Room::kNone);
}

TEST(LogBoundsTest, BeyondTheRecoveryTarget_TheVoteWaitsForACheckpointAndWithoutOneThereIsRoom) {
  const LogBounds bounds = WithSteps(3, {.bytes = 1 << 20, .recovery_target = absl::Seconds(8)});
  EXPECT_EQ(bounds.RoomFor(0, true), Room::kAwaitsCheckpoint);
  EXPECT_EQ(bounds.RoomFor(0, false), Room::kEnough);
  const LogBounds at_the_target = WithSteps(3, {.bytes = 1 << 20, .recovery_target = absl::Seconds(9)});
  EXPECT_EQ(at_the_target.RoomFor(0, true), Room::kEnough);
}

}  // namespace
}  // namespace arcshard::shard
