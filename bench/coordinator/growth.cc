#include "bench/coordinator/growth.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace arcshard::bench {
namespace {

constexpr int kColumns = 64, kRows = 16;

// Where a value is between the powers of ten around all values.
class LogAxis {
 public:
  LogAxis(double least, double most) : begin_(std::floor(std::log10(least))), end_(std::ceil(std::log10(most))) {
    if (end_ <= begin_) end_ = begin_ + 1;
  }
  int Cell(double value, int cells) const {
    return static_cast<int>(std::lround((std::log10(value) - begin_) / (end_ - begin_) * (cells - 1)));
  }
  double ValueAt(int cell, int cells) const { return std::pow(10.0, begin_ + (end_ - begin_) * cell / (cells - 1)); }
  double least() const { return std::pow(10.0, begin_); }
  double most() const { return std::pow(10.0, end_); }

 private:
  double begin_, end_;
};

}  // namespace

double GrowthExponent(const Series& series) {
  assert(series.points.size() >= 2);
  const auto& [members, ms] = series.points.back();
  const auto& [members_before, ms_before] = series.points[series.points.size() - 2];
  return std::log(ms / ms_before) / std::log(members / members_before);
}

std::string PlotOf(const std::vector<Series>& series) {
  double least_x = INFINITY, most_x = 0, least_y = INFINITY, most_y = 0;
  for (const Series& one : series) {
    for (const auto& [x, y] : one.points) {
      least_x = std::min(least_x, x), most_x = std::max(most_x, x);
      least_y = std::min(least_y, y), most_y = std::max(most_y, y);
    }
  }
  const LogAxis across(least_x, most_x), up(least_y, most_y);
  std::vector<std::string> rows(kRows, std::string(kColumns, ' '));
  for (int column = 0; column < kColumns; ++column) {  // linear growth through the last point of the first series
    const auto& [x, y] = series.front().points.back();
    const int row = up.Cell(y * across.ValueAt(column, kColumns) / x, kRows);
    if (row >= 0 && row < kRows) rows[row][column] = '.';
  }
  for (const Series& one : series) {
    for (const auto& [x, y] : one.points) rows[up.Cell(y, kRows)][across.Cell(x, kColumns)] = one.mark;
  }
  std::string plot = "ms of CPU a step\n";
  for (int row = kRows - 1; row >= 0; --row) {
    const std::string label = row == kRows - 1 ? absl::StrFormat("%g", up.most())
                              : row == 0       ? absl::StrFormat("%g", up.least())
                                               : "";
    absl::StrAppend(&plot, absl::StrFormat("%7s |", label), rows[row], "\n");
  }
  const std::string least = absl::StrFormat("%g", across.least()), most = absl::StrFormat("%g", across.most());
  const size_t between = kColumns - least.size() - most.size();
  absl::StrAppend(&plot, std::string(8, ' '), "+", std::string(kColumns, '-'), "\n", std::string(9, ' '), least,
                  std::string(between, ' '), most, " members\n");
  for (const Series& one : series) absl::StrAppend(&plot, "  ", std::string(1, one.mark), "  ", one.name, "\n");
  absl::StrAppend(&plot, "  .  linear growth\n");
  return plot;
}

}  // namespace arcshard::bench
