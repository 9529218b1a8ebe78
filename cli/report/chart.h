#pragma once

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

// Figures as inline SVG, drawn with the classes of the report's style sheet (report_style.h), which gives them their
// colours in light and dark. What is under the pointer is shown by CSS alone: there is no script. Pure functions.
namespace arcshard::cli {

struct Point {
  double x = 0;
  double y = 0;  // NaN: a gap
};

struct Series {
  std::string name;
  std::vector<Point> points = {};  // x ascending
};

// Colours of series, by their place; further ones would look like earlier ones.
inline constexpr size_t kMostSeries = 8;

struct ChartOptions {
  std::string label;                                    // what the figure shows, for those who cannot see it
  bool from_zero = false;                               // the y axis begins at 0
  bool dots = false;                                    // few values, each of them measured
  std::function<std::string(double)> format = nullptr;  // of values; null: ShortNumber
};

// Lines over steps. Of many points each stretch is drawn as its mean, with what lies between its least and its greatest
// shaded. At most kMostSeries series. Without a point: a figure that says so.
std::string LineChart(const ChartOptions& options, const std::vector<Series>& series);

// Areas on top of one another, the first series at the bottom; all have the same x.
std::string StackedChart(const ChartOptions& options, const std::vector<Series>& series);

// About `most` round numbers that span [low, high]: 0, 0.5, 1, ...
std::vector<double> RoundTicks(double low, double high, int most);

// At most `most` points, each the mean of a stretch of neighbours; gaps are left out of a mean.
std::vector<Point> Thin(const std::vector<Point>& points, size_t most);

}  // namespace arcshard::cli
