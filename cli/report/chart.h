#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// Figures as inline SVG. Their colours come from the report's style sheet (report_style.h). CSS alone shows the values
// under the pointer: there is no script. Pure functions.
namespace arcshard::cli {

struct Point {
  double x = 0;
  double y = 0;  // NaN: a gap
};

struct Series {
  std::string name;
  std::vector<Point> points = {};  // x ascending
};

// Number of colours: further series would look like earlier ones.
inline constexpr size_t kMostSeries = 8;

struct ChartOptions {
  std::string label;                                    // describes the figure for readers who cannot see it
  bool from_zero = false;                               // the y axis begins at 0
  bool dots = false;                                    // mark each value: there are few
  std::function<std::string(double)> format = nullptr;  // formats values; null: ShortNumber
};

// Lines over steps. If there are many points, neighbours are joined into stretches: the line shows the mean of each
// stretch, and a shaded band its range from least to greatest value. Draws at most kMostSeries series. Without any
// point, the figure says so.
std::string LineChart(const ChartOptions& options, const std::vector<Series>& series);

// Areas on top of one another, the first series at the bottom; they are interrupted where no series has a value.
// Requires that all series have the same x.
std::string StackedChart(const ChartOptions& options, const std::vector<Series>& series);

// About `most` round numbers that span [low, high]: 0, 0.5, 1, ...
std::vector<double> RoundTicks(double low, double high, int most);

// At most `most` points, each the mean of a stretch of neighbours without its gaps.
std::vector<Point> Thin(const std::vector<Point>& points, size_t most);

}  // namespace arcshard::cli
