#include "cli/report/chart.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "cli/report/markup.h"

namespace arcshard::cli {
namespace {

// In units of the picture, which the page scales.
constexpr double kWidth = 640, kHeight = 260;
constexpr double kLeft = 58, kRight = kWidth - 14, kTop = 12, kBottom = kHeight - 30;
constexpr double kLineHeight = 17, kTipWidth = 190, kBarWidth = 4;
constexpr double kLetterWidth = 6.5;  // of the figures' font, about
constexpr size_t kMostPoints = 150;   // in a line
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Neighbouring points of a line, summarised.
struct Stretch {
  Point mean;
  double least = kNaN, greatest = kNaN;
};

std::vector<Stretch> StretchesOf(const std::vector<Point>& points, size_t most) {
  std::vector<Stretch> stretches;
  const size_t count = std::min(points.size(), most);
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = i * points.size() / count, end = (i + 1) * points.size() / count;
    Stretch stretch;
    double sum = 0;
    size_t values = 0;
    for (size_t k = begin; k < end; ++k) {
      const double y = points[k].y;
      stretch.mean.x += points[k].x / static_cast<double>(end - begin);
      if (!std::isfinite(y)) continue;
      sum += y;
      ++values;
      stretch.least = std::fmin(stretch.least, y);  // which ignores NaN
      stretch.greatest = std::fmax(stretch.greatest, y);
    }
    stretch.mean.y = values > 0 ? sum / static_cast<double>(values) : kNaN;
    stretches.push_back(stretch);
  }
  return stretches;
}

// The least and the greatest of the values that were added.
struct Extent {
  double low = std::numeric_limits<double>::infinity(), high = -std::numeric_limits<double>::infinity();
  void Add(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  bool empty() const { return low > high; }
};

class Frame {
 public:
  Frame(const ChartOptions& options, Extent x, Extent y) : options_(options), x_(x) {
    if (options.from_zero) y.Add(0);
    y_ticks_ = RoundTicks(y.low, y.high, 5);
    x_ticks_ = RoundTicks(x.low, x.high, 6);
    y_ = {y_ticks_.front(), y_ticks_.back()};
  }

  double X(double x) const {
    return x_.low == x_.high ? (kLeft + kRight) / 2 : kLeft + (x - x_.low) / (x_.high - x_.low) * (kRight - kLeft);
  }
  double Y(double y) const { return kBottom - (y - y_.low) / (y_.high - y_.low) * (kBottom - kTop); }

  std::string Axes() const {
    std::string svg = "<g class=\"axes\">";
    for (const double tick : y_ticks_) {
      absl::StrAppendFormat(&svg, "<line class=\"grid\" x1=\"%g\" x2=\"%g\" y1=\"%.1f\" y2=\"%.1f\"/>", kLeft, kRight,
                            Y(tick), Y(tick));
      absl::StrAppendFormat(&svg, "<text x=\"%g\" y=\"%.1f\" text-anchor=\"end\">%s</text>", kLeft - 8, Y(tick) + 4,
                            Escape(Format(tick)));
    }
    absl::StrAppendFormat(&svg, "<text x=\"%g\" y=\"%g\" text-anchor=\"end\">step</text>", kLeft - 8, kHeight - 9);
    for (const double tick : x_ticks_) {
      if (tick < x_.low || tick > x_.high) continue;
      absl::StrAppendFormat(&svg, "<text x=\"%.1f\" y=\"%g\" text-anchor=\"middle\">%s</text>", X(tick), kHeight - 9,
                            ShortNumber(tick));
    }
    return svg + "</g>";
  }

  // Shown while the pointer is between `from` and `to`: a line at `x` and a box with `rows`. A row is the number of the
  // series whose colour it gets (-1: none) and its text.
  std::string Tip(double from, double to, double x, const std::vector<std::pair<int, std::string>>& rows) const {
    double width = kTipWidth;
    for (const auto& row : rows) width = std::max(width, kLetterWidth * static_cast<double>(row.second.size()) + 30);
    width = std::min(width, kRight - kLeft);
    const double box = X(x) + 10 + width < kRight ? X(x) + 10 : std::max(X(x) - 10 - width, kLeft);
    std::string svg = absl::StrFormat(
        "<g class=\"at\"><rect class=\"hit\" x=\"%.1f\" y=\"%g\" width=\"%.1f\" height=\"%g\"/><g class=\"tip\">"
        "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%g\" y2=\"%g\"/><rect x=\"%.1f\" y=\"%g\" width=\"%g\" height=\"%g\" "
        "rx=\"4\"/>",
        from, kTop, std::max(to - from, 1.0), kBottom - kTop, X(x), X(x), kTop, kBottom, box, kTop, width,
        kLineHeight * static_cast<double>(rows.size()) + 8);
    double y = kTop;
    for (const auto& [series, text] : rows) {
      y += kLineHeight;
      if (series >= 0) {
        absl::StrAppendFormat(&svg, "<rect class=\"area s%d\" x=\"%.1f\" y=\"%.1f\" width=\"9\" height=\"9\"/>", series,
                              box + 8, y - 9);
      }
      absl::StrAppendFormat(&svg, "<text x=\"%.1f\" y=\"%.1f\">%s</text>", box + (series >= 0 ? 22 : 8), y,
                            Escape(text));
    }
    return svg + "</g></g>";
  }

  std::string Format(double value) const { return options_.format ? options_.format(value) : ShortNumber(value); }

 private:
  const ChartOptions& options_;
  Extent x_, y_;
  std::vector<double> x_ticks_, y_ticks_;
};

std::string Picture(const ChartOptions& options, absl::string_view inside) {
  return absl::StrFormat("<svg viewBox=\"0 0 %g %g\" role=\"img\" aria-label=\"%s\">", kWidth, kHeight,
                         Escape(options.label)) +
         std::string(inside) + "</svg>\n";
}

std::string Nothing(const ChartOptions& options) {
  return Picture(options, absl::StrFormat("<text class=\"nothing\" x=\"%g\" y=\"%g\" text-anchor=\"middle\">nothing "
                                          "was measured yet</text>",
                                          kWidth / 2, kHeight / 2));
}

// The middle between neighbours i - 1 and i, where the nearest point to the pointer changes.
double Middle(const std::vector<double>& xs, size_t i, const Frame& frame) {
  if (i == 0) return kLeft;
  if (i == xs.size()) return kRight;
  return frame.X((xs[i - 1] + xs[i]) / 2);
}

// "M1.0,2.0L3.0,4.0", a new M after each gap.
std::string Path(const std::vector<Stretch>& line, const Frame& frame) {
  std::string path;
  bool pen_down = false;
  for (const Stretch& stretch : line) {
    const bool there = std::isfinite(stretch.mean.y);
    if (there) {
      absl::StrAppendFormat(&path, "%s%.1f,%.1f", pen_down ? "L" : "M", frame.X(stretch.mean.x),
                            frame.Y(stretch.mean.y));
    }
    pen_down = there;
  }
  return path;
}

// The outline of the area between the upper and the lower values.
std::string Outline(const std::vector<double>& xs, const std::vector<double>& upper, const std::vector<double>& lower,
                    const Frame& frame) {
  std::string outline;
  for (size_t i = 0; i < xs.size(); ++i) {
    absl::StrAppendFormat(&outline, "%s%.1f,%.1f", i == 0 ? "M" : "L", frame.X(xs[i]), frame.Y(upper[i]));
  }
  for (size_t i = xs.size(); i-- > 0;) {
    absl::StrAppendFormat(&outline, "L%.1f,%.1f", frame.X(xs[i]), frame.Y(lower[i]));
  }
  return outline + "Z";
}

std::string Band(const std::vector<Stretch>& line, size_t series, const Frame& frame) {
  std::vector<double> xs, upper, lower;
  for (const Stretch& stretch : line) {
    if (!std::isfinite(stretch.mean.y)) continue;
    xs.push_back(stretch.mean.x);
    upper.push_back(stretch.greatest);
    lower.push_back(stretch.least);
  }
  if (xs.size() < 2) return "";
  return absl::StrCat("<path class=\"band s", series, "\" d=\"", Outline(xs, upper, lower, frame), "\"/>");
}

// The columns [first, second) of a stack.
using Columns = std::pair<size_t, size_t>;

// The area between an upper and a lower line over some columns; a single column is a narrow bar.
std::string Area(const std::vector<double>& xs, const std::pair<std::vector<double>, std::vector<double>>& lines,
                 Columns columns, const Frame& frame) {
  const auto [begin, end] = columns;
  if (begin == end) return "";
  const auto cut = [&](const std::vector<double>& all) {
    return std::vector<double>(all.begin() + static_cast<ptrdiff_t>(begin), all.begin() + static_cast<ptrdiff_t>(end));
  };
  if (end - begin > 1) return Outline(cut(xs), cut(lines.first), cut(lines.second), frame);
  const double x = frame.X(xs[begin]), top = frame.Y(lines.first[begin]), bottom = frame.Y(lines.second[begin]);
  const double left = std::max(x - kBarWidth / 2, kLeft), right = std::min(x + kBarWidth / 2, kRight);
  return absl::StrFormat("M%.1f,%.1fL%.1f,%.1fL%.1f,%.1fL%.1f,%.1fZ", left, top, right, top, right, bottom, left,
                         bottom);
}

// Layers on top of one another: tops[i] is where layer i begins and layer i - 1 ends, NaN in columns where nothing was
// measured. In the others a layer without a value is 0.
struct Stack {
  std::vector<double> xs;
  std::vector<std::vector<double>> tops;
  Extent x, y;  // y is empty if nothing was measured at all
};

Stack StackOf(const std::vector<std::vector<Point>>& layers) {
  Stack stack;
  const size_t columns = layers.empty() ? 0 : layers[0].size();
  stack.tops.assign(layers.size() + 1, std::vector<double>(columns, kNaN));
  for (size_t k = 0; k < columns; ++k) {
    stack.xs.push_back(layers[0][k].x);
    const auto measured = [k](const std::vector<Point>& layer) { return std::isfinite(layer[k].y); };
    if (std::none_of(layers.begin(), layers.end(), measured)) continue;
    stack.x.Add(stack.xs.back());
    stack.tops[0][k] = 0.0;
    for (size_t i = 0; i < layers.size(); ++i) {
      stack.tops[i + 1][k] = stack.tops[i][k] + (measured(layers[i]) ? layers[i][k].y : 0.0);
    }
    stack.y.Add(stack.tops.back()[k]);
  }
  if (!stack.y.empty()) stack.y.Add(0);
  return stack;
}

std::string StepAt(double x) { return absl::StrFormat("step %.0f", x); }

}  // namespace

std::vector<double> RoundTicks(double low, double high, int most) {
  if (!(low <= high)) return {0, 1};
  if (low == high) {  // a flat line lies in the middle
    const double around = low == 0 ? 1 : std::abs(low) / 2;
    low -= around;
    high += around;
  }
  const double raw = (high - low) / most;
  const double magnitude = std::pow(10, std::floor(std::log10(raw)));
  const double digit = raw / magnitude;
  const double step = magnitude * (digit <= 1 ? 1 : digit <= 2 ? 2 : digit <= 5 ? 5 : 10);
  std::vector<double> ticks;
  const double first = std::floor(low / step), last = std::ceil(high / step);
  for (double i = first; i <= last && ticks.size() < 100; ++i) ticks.push_back(i * step);
  return ticks;
}

std::vector<Point> Thin(const std::vector<Point>& points, size_t most) {
  std::vector<Point> thin;
  for (const Stretch& stretch : StretchesOf(points, most)) thin.push_back(stretch.mean);
  return thin;
}

std::string LineChart(const ChartOptions& options, const std::vector<Series>& series) {
  Extent x, y;
  std::vector<std::vector<Stretch>> lines;
  std::vector<double> xs;  // steps of all lines
  for (size_t i = 0; i < std::min(series.size(), kMostSeries); ++i) {
    for (const Point& point : series[i].points) {
      if (std::isfinite(point.y)) x.Add(point.x);
      y.Add(point.y);
    }
    lines.push_back(StretchesOf(series[i].points, kMostPoints));
    for (const Stretch& stretch : lines.back()) {
      if (std::isfinite(stretch.mean.y)) xs.push_back(stretch.mean.x);
    }
  }
  if (y.empty()) return Nothing(options);
  const Frame frame(options, x, y);
  std::string svg = frame.Axes();
  for (size_t i = 0; i < lines.size(); ++i) {
    if (series[i].points.size() > kMostPoints) svg += Band(lines[i], i, frame);
    absl::StrAppend(&svg, "<path class=\"line s", i, "\" d=\"", Path(lines[i], frame), "\"/>");
    if (!options.dots && lines[i].size() > 1) continue;
    for (const Stretch& stretch : lines[i]) {
      if (!std::isfinite(stretch.mean.y)) continue;
      absl::StrAppendFormat(&svg, "<circle class=\"dot s%d\" cx=\"%.1f\" cy=\"%.1f\" r=\"4\"/>", i,
                            frame.X(stretch.mean.x), frame.Y(stretch.mean.y));
    }
  }
  std::sort(xs.begin(), xs.end());
  xs.erase(std::unique(xs.begin(), xs.end()), xs.end());
  for (size_t k = 0; k < xs.size(); ++k) {
    std::vector<std::pair<int, std::string>> rows = {{-1, StepAt(xs[k])}};
    for (size_t i = 0; i < lines.size(); ++i) {
      const auto at =
          std::find_if(lines[i].begin(), lines[i].end(), [&](const Stretch& s) { return s.mean.x == xs[k]; });
      if (at == lines[i].end() || !std::isfinite(at->mean.y)) continue;
      const std::string value = frame.Format(at->mean.y);
      rows.emplace_back(series.size() > 1 ? static_cast<int>(i) : -1,
                        series.size() > 1 ? absl::StrCat(series[i].name, "  ", value) : value);
    }
    svg += frame.Tip(Middle(xs, k, frame), Middle(xs, k + 1, frame), xs[k], rows);
  }
  return Picture(options, svg);
}

std::string StackedChart(const ChartOptions& options, const std::vector<Series>& series) {
  const size_t count = std::min(series.size(), kMostSeries);
  std::vector<std::vector<Point>> layers;
  for (size_t i = 0; i < count; ++i) layers.push_back(Thin(series[i].points, kMostPoints));
  const Stack stack = StackOf(layers);
  if (stack.y.empty()) return Nothing(options);
  const Frame frame(options, stack.x, stack.y);
  std::string svg = frame.Axes();
  for (size_t i = 0; i < count; ++i) {
    std::string areas;
    for (size_t begin = 0; begin < stack.xs.size();) {  // each stretch between two gaps
      size_t end = begin;
      while (end < stack.xs.size() && std::isfinite(stack.tops[count][end])) ++end;
      areas += Area(stack.xs, {stack.tops[i + 1], stack.tops[i]}, {begin, end}, frame);
      begin = end + 1;
    }
    absl::StrAppend(&svg, "<path class=\"area s", i, "\" d=\"", areas, "\"/>");
  }
  for (size_t k = 0; k < stack.xs.size(); ++k) {
    if (!std::isfinite(stack.tops[count][k])) continue;
    std::vector<std::pair<int, std::string>> rows = {
        {-1, absl::StrCat(StepAt(stack.xs[k]), "  ", frame.Format(stack.tops[count][k]))}};
    for (size_t i = count; i-- > 0;) {
      rows.emplace_back(static_cast<int>(i), absl::StrCat(series[i].name, "  ", frame.Format(layers[i][k].y)));
    }
    svg += frame.Tip(Middle(stack.xs, k, frame), Middle(stack.xs, k + 1, frame), stack.xs[k], rows);
  }
  return Picture(options, svg);
}

}  // namespace arcshard::cli
