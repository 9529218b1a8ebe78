#include "common/rpc/security/repeat_filter.h"

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

TEST(RepeatFilterTest, TheSameLineIsAllowedOnceInTenSeconds) {
  FakeClock clock;
  RepeatFilter filter;
  EXPECT_TRUE(filter.Allow("a", clock.Now()));
  EXPECT_TRUE(filter.Allow("b", clock.Now()));
  clock.Advance(RepeatFilter::kRepeat - absl::Milliseconds(1));
  EXPECT_FALSE(filter.Allow("a", clock.Now()));
  clock.Advance(absl::Milliseconds(1));
  EXPECT_TRUE(filter.Allow("a", clock.Now()));
  EXPECT_FALSE(filter.Allow("a", clock.Now()));
}

TEST(RepeatFilterTest, ManyDifferentLinesDoNotTakeMoreAndMoreMemory) {
  FakeClock clock;
  RepeatFilter filter;
  EXPECT_TRUE(filter.Allow("first", clock.Now()));
  for (size_t i = 0; i < RepeatFilter::kMostLines; ++i) EXPECT_TRUE(filter.Allow(absl::StrCat(i), clock.Now()));
  EXPECT_TRUE(filter.Allow("first", clock.Now())) << "it was forgotten";
}

}  // namespace
}  // namespace arcshard
