#include "common/base/clock.h"

#include <concepts>

#include "common/base/testing/fake_clock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

// A date where a moment of the monotonic clock belongs, and the other way round, does not compile.
template <typename A, typename B>
concept CanMix = std::convertible_to<A, B> || std::assignable_from<B&, A> || requires(A a, B b) {
  a - b;
} || requires(A a, B b) {
  a < b;
} || requires(A a, B b) {
  a == b;
};
static_assert(CanMix<MonotonicTime, MonotonicTime> && CanMix<absl::Time, absl::Time>);
static_assert(!CanMix<absl::Time, MonotonicTime> && !CanMix<MonotonicTime, absl::Time>);

template <typename Deadline>
concept CanBeWaitedFor = requires(const Clock& clock, Deadline deadline, Mutex* mutex, CondVar* condition) {
  clock.WaitUntil(deadline, mutex, condition);
};
static_assert(CanBeWaitedFor<MonotonicTime> && !CanBeWaitedFor<absl::Time>);

TEST(MonotonicTimeTest, InfiniteDurationsLeadToTheInfinitePastAndFuture) {
  const MonotonicTime time = MonotonicTime() + absl::Seconds(5);
  EXPECT_EQ(time + absl::InfiniteDuration(), MonotonicTime::InfiniteFuture());
  EXPECT_EQ(time - absl::InfiniteDuration(), MonotonicTime::InfinitePast());
  EXPECT_EQ(MonotonicTime::InfiniteFuture() - time, absl::InfiniteDuration());
  EXPECT_LT(MonotonicTime::InfinitePast(), time);
  EXPECT_EQ(time - MonotonicTime(), absl::Seconds(5));
}

TEST(ClockTest, TheSystemsClockNeverGoesBackAndTellsTheDateBeside) {
  const SystemClock clock;
  const MonotonicTime before = clock.Now();
  EXPECT_GE(clock.Now(), before);
  EXPECT_GT(clock.WallTime(), absl::FromUnixSeconds(1'700'000'000));
}

TEST(ClockTest, ASetDateChangesNoDuration) {
  FakeClock clock;
  const MonotonicTime before = clock.Now();
  const absl::Time date = clock.WallTime();
  clock.SetBack(absl::Hours(1));
  clock.Advance(absl::Seconds(2));
  EXPECT_EQ(clock.Now() - before, absl::Seconds(2));
  EXPECT_EQ(clock.WallTime() - date, absl::Seconds(2) - absl::Hours(1));
  clock.SetForward(absl::Hours(1));
  EXPECT_EQ(clock.Now() - before, absl::Seconds(2));
  EXPECT_EQ(clock.WallTime() - date, absl::Seconds(2));
}

TEST(ClockTest, AWaitEndsAtItsDeadline) {
  const SystemClock clock;
  Mutex mutex;
  CondVar changed;
  const MonotonicTime deadline = clock.Now() + absl::Milliseconds(5);
  MutexLock lock(&mutex);
  while (clock.Now() < deadline) clock.WaitUntil(deadline, &mutex, &changed);
  EXPECT_GE(clock.Now(), deadline);
}

}  // namespace
}  // namespace arcshard
