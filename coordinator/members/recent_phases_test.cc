#include "coordinator/members/recent_phases.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

const MonotonicTime kStart = MonotonicTime() + absl::Seconds(1000);

// The k-th forward pass takes k seconds: their sum after n is n(n + 1)/2.
std::vector<PhaseTime> After(uint64_t n) {
  return {{"forward", n, static_cast<double>(n * (n + 1) / 2)}, {"loss", 1, 0.5}};
}

TEST(RecentPhases, WithoutAReportThereAreNone) { EXPECT_THAT(RecentPhases().Recent(), IsEmpty()); }

TEST(RecentPhases, OfASingleReportAreThoseSinceTheBeginning) {
  RecentPhases phases;
  phases.Add(kStart, After(3));
  EXPECT_THAT(phases.Recent(), ElementsAre(PhaseTime{"forward", 3, 6.0}, PhaseTime{"loss", 1, 0.5}));
}

TEST(RecentPhases, AreThoseBetweenTheReportsThatAreKept) {
  RecentPhases phases;
  for (uint64_t second = 0; second <= 20; ++second) phases.Add(kStart + absl::Seconds(second), After(second));
  EXPECT_THAT(phases.Recent(), ElementsAre(PhaseTime{"forward", 10, 210.0 - 55.0}));
}

TEST(RecentPhases, ReachAsFarBackWhenReportsComeOften) {
  RecentPhases phases;
  for (uint64_t tick = 0; tick <= 2000; ++tick) {
    phases.Add(kStart + absl::Milliseconds(10 * tick), {{"forward", tick, 0.01 * static_cast<double>(tick)}});
  }
  const std::vector<PhaseTime> recent = phases.Recent();
  ASSERT_EQ(recent.size(), 1u);
  EXPECT_GE(recent[0].count, 900u);
  EXPECT_LE(recent[0].count, 1100u);
}

TEST(RecentPhases, SumsThatShrinkAreLeftOut) {
  RecentPhases phases;
  phases.Add(kStart, After(5));
  phases.Add(kStart + absl::Seconds(1), After(4));
  EXPECT_THAT(phases.Recent(), IsEmpty());
}

}  // namespace
}  // namespace arcshard::coordinator
