#include "coordinator/service/line_budget.h"

#include "absl/strings/str_cat.h"
#include "common/base/testing/fake_clock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

class LineBudgetTest : public ::testing::Test {
 protected:
  // How many of 1000 lines are logged.
  int LinesOfAFlood() {
    int lines = 0;
    for (int i = 0; i < 1000; ++i) lines += budget_.Line(absl::StrCat("line ", i), clock_.Now()).has_value() ? 1 : 0;
    return lines;
  }

  FakeClock clock_;
  LineBudget budget_{30, clock_.Now()};
};

TEST_F(LineBudgetTest, AFloodIsCountedInsteadOfLogged) {
  EXPECT_EQ(LinesOfAFlood(), 30);
  clock_.Advance(absl::Seconds(7));
  EXPECT_EQ(budget_.Line("worker 1 left", clock_.Now()),
            "worker 1 left (970 such lines before this one were not logged)");
}

TEST_F(LineBudgetTest, LaterItAllowsAFewLinesAMinute) {
  LinesOfAFlood();
  clock_.Advance(absl::Minutes(2) + absl::Seconds(1));
  EXPECT_EQ(LinesOfAFlood(), 2 * LineBudget::kLinesAMinute);
}

TEST_F(LineBudgetTest, AfterAQuietTimeItIsAsLargeAsAtFirst) {
  LinesOfAFlood();
  clock_.Advance(absl::Hours(24));
  EXPECT_EQ(LinesOfAFlood(), 30);
}

}  // namespace
}  // namespace arcshard::coordinator
