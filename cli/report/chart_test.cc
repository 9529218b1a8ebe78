#include "cli/report/chart.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::cli {
namespace {

using ::testing::DoubleEq;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

size_t CountOf(const std::string& text, const std::string& what) {
  size_t count = 0;
  for (size_t at = text.find(what); at != std::string::npos; at = text.find(what, at + 1)) ++count;
  return count;
}

TEST(RoundTicksTest, SpanTheValuesInRoundSteps) {
  EXPECT_THAT(RoundTicks(0, 4.6, 5), ElementsAre(0, 1, 2, 3, 4, 5));
  EXPECT_THAT(RoundTicks(1200, 1500, 5), ElementsAre(1200, 1300, 1400, 1500));
  EXPECT_THAT(RoundTicks(-0.02, 0.03, 5),
              ElementsAre(DoubleEq(-0.02), DoubleEq(-0.01), 0, DoubleEq(0.01), DoubleEq(0.02), DoubleEq(0.03)));
}

TEST(RoundTicksTest, AFlatLineLiesInTheMiddle) {
  for (const double value : {0.0, 5.0, -3.0, 1e-9, 1e12}) {
    const std::vector<double> ticks = RoundTicks(value, value, 5);
    EXPECT_LT(ticks.front(), value);
    EXPECT_GT(ticks.back(), value);
  }
}

TEST(RoundTicksTest, AreFewWhateverTheValues) {
  EXPECT_LE(RoundTicks(-1e300, 1e300, 5).size(), 100u);
  EXPECT_THAT(RoundTicks(std::nan(""), 1, 5), ElementsAre(0, 1));
}

TEST(ThinTest, StretchesAreMeansWithoutTheGaps) {
  const double nan = std::nan("");
  const std::vector<Point> thin = Thin({{1, 1}, {2, 3}, {3, nan}, {4, 5}, {5, nan}, {6, nan}}, 3);
  ASSERT_THAT(thin, SizeIs(3));
  EXPECT_EQ(thin[0].x, 1.5);
  EXPECT_EQ(thin[0].y, 2);
  EXPECT_EQ(thin[1].y, 5);
  EXPECT_TRUE(std::isnan(thin[2].y));
  EXPECT_THAT(Thin({}, 3), SizeIs(0));
  EXPECT_THAT(Thin({{1, 1}}, 3), SizeIs(1));
}

TEST(LineChartTest, WithoutAValueItSaysSo) {
  EXPECT_THAT(LineChart({.label = "loss"}, {{.name = "loss"}}), HasSubstr("nothing was measured yet"));
  EXPECT_THAT(LineChart({.label = "loss"}, {{.name = "loss", .points = {{1, std::nan("")}}}}),
              HasSubstr("nothing was measured yet"));
}

TEST(LineChartTest, ALineRunsFromEdgeToEdgeAndBreaksAtAGap) {
  const std::string svg = LineChart({.label = "loss", .from_zero = true},
                                    {{.name = "loss", .points = {{0, 0}, {1, 2}, {2, std::nan("")}, {3, 1}, {4, 2}}}});
  EXPECT_THAT(svg, HasSubstr("d=\"M58.0,230.0L200.0,12.0M484.0,121.0L626.0,12.0\""));
  EXPECT_EQ(CountOf(svg, "class=\"at\""), 4u);
}

TEST(LineChartTest, ASingleValueIsADot) {
  const std::string svg = LineChart({.label = "loss"}, {{.name = "loss", .points = {{1, 5}}}});
  EXPECT_EQ(CountOf(svg, "<circle"), 1u);
  EXPECT_THAT(svg, Not(HasSubstr("nan")));
}

TEST(LineChartTest, ManyPointsAreAFewWithABandAround) {
  Series series{.name = "loss"};
  for (int i = 0; i < 10000; ++i) series.points.push_back({static_cast<double>(i), static_cast<double>(i % 7)});
  const std::string svg = LineChart({.label = "loss"}, {series});
  EXPECT_EQ(CountOf(svg, "class=\"at\""), 150u);
  EXPECT_EQ(CountOf(svg, "class=\"band s0\""), 1u);
  EXPECT_LT(svg.size(), 100'000u);
}

TEST(LineChartTest, TheBoxWithTheValuesIsAsWideAsItsLongestName) {
  const std::string name(60, 'n');
  const std::string svg = LineChart({.label = "x"}, {{.name = name, .points = {{1, 5}}}, {.name = "b"}});
  EXPECT_THAT(svg, HasSubstr("width=\"439.5\""));
}

TEST(LineChartTest, NamesAreText) {
  const std::string svg =
      LineChart({.label = "\"<b>"}, {{.name = "<i>", .points = {{1, 5}}}, {.name = "b", .points = {{1, 6}}}});
  EXPECT_THAT(svg, HasSubstr("aria-label=\"&quot;&lt;b&gt;\""));
  EXPECT_THAT(svg, HasSubstr("&lt;i&gt;  5"));
  EXPECT_THAT(svg, Not(HasSubstr("<i>")));
}

TEST(LineChartTest, FurtherSeriesThanThereAreColoursAreLeftOut) {
  std::vector<Series> series;
  for (int i = 0; i < 12; ++i) series.push_back({.name = absl::StrCat(i), .points = {{1, 1}, {2, 2}}});
  EXPECT_EQ(CountOf(LineChart({.label = "x"}, series), "class=\"line"), kMostSeries);
}

TEST(StackedChartTest, AreasLieOnOneAnother) {
  const std::string svg = StackedChart({.label = "phases"}, {{.name = "forward", .points = {{0, 1}, {1, 1}}},
                                                             {.name = "backward", .points = {{0, 2}, {1, 3}}}});
  EXPECT_THAT(svg, HasSubstr("class=\"area s0\" d=\"M58.0,175.5L626.0,175.5L626.0,230.0L58.0,230.0Z\""));
  EXPECT_THAT(svg, HasSubstr("class=\"area s1\" d=\"M58.0,66.5L626.0,12.0L626.0,175.5L58.0,175.5Z\""));
  EXPECT_THAT(svg, HasSubstr("step 1  4"));
}

TEST(StackedChartTest, WhereNothingWasMeasuredTheAreasAreInterrupted) {
  const double nan = std::nan("");
  const std::string svg =
      StackedChart({.label = "phases"}, {{.name = "forward", .points = {{0, 4}, {1, 4}, {2, nan}, {3, 4}, {4, 4}}},
                                         {.name = "loss", .points = {{0, 4}, {1, 4}, {2, nan}, {3, nan}, {4, 4}}}});
  EXPECT_THAT(svg, HasSubstr("d=\"M58.0,121.0L200.0,121.0L200.0,230.0L58.0,230.0Z"
                             "M484.0,121.0L626.0,121.0L626.0,230.0L484.0,230.0Z\""));
  EXPECT_THAT(svg, HasSubstr("step 1  8"));
  EXPECT_THAT(svg, Not(HasSubstr("step 2")));
  EXPECT_THAT(svg, HasSubstr("step 3  4"));
}

TEST(StackedChartTest, ASingleColumnIsABar) {
  const double nan = std::nan("");
  const std::string svg =
      StackedChart({.label = "phases"}, {{.name = "forward", .points = {{0, 1}, {1, nan}, {2, 1}, {3, nan}, {4, 1}}}});
  EXPECT_THAT(svg, HasSubstr("M340.0,12.0L344.0,12.0L344.0,230.0L340.0,230.0Z"));
}

TEST(StackedChartTest, WithoutAValueItSaysSo) {
  EXPECT_THAT(StackedChart({.label = "phases"}, {}), HasSubstr("nothing was measured yet"));
  EXPECT_THAT(StackedChart({.label = "phases"}, {{.name = "forward", .points = {{1, std::nan("")}}}}),
              HasSubstr("nothing was measured yet"));
}

}  // namespace
}  // namespace arcshard::cli
