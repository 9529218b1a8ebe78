#include "worker/verification/operating_points.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <utility>

namespace arcshard::worker {
namespace {

constexpr double kLargestDistance = 4.0;  // squared, of unit vectors
constexpr double kRounding = 1e-9;        // added to far·n before it is rounded down: 1e-3 of 3000 is 3

double Finite(double distance) { return std::isfinite(distance) ? distance : std::numeric_limits<double>::infinity(); }

// Counts the sorted distances that are below the threshold.
size_t Below(const std::vector<double>& sorted, double threshold) {
  return static_cast<size_t>(std::lower_bound(sorted.begin(), sorted.end(), threshold) - sorted.begin());
}

}  // namespace

OperatingPoint BestThreshold(absl::Span<const double> distances, const std::vector<bool>& same) {
  if (distances.empty()) return {};
  std::vector<std::pair<double, bool>> pairs;
  for (size_t i = 0; i < distances.size(); ++i) pairs.emplace_back(Finite(distances[i]), same[i]);
  std::sort(pairs.begin(), pairs.end());

  // Thresholds from low to high: each accepts the pairs of one more distinct distance.
  int64_t correct = std::count(same.begin(), same.end(), false);
  int64_t best = correct;
  double threshold = pairs.front().first;
  for (size_t next = 0; next < pairs.size() && std::isfinite(pairs[next].first);) {
    const double distance = pairs[next].first;
    for (; next < pairs.size() && pairs[next].first == distance; ++next) correct += pairs[next].second ? 1 : -1;
    if (correct <= best) continue;
    best = correct;
    const bool last = next == pairs.size() || !std::isfinite(pairs[next].first);
    threshold = last ? std::max(kLargestDistance, std::nextafter(distance, std::numeric_limits<double>::infinity()))
                     : distance + (pairs[next].first - distance) / 2;
    if (threshold <= distance) threshold = pairs[next].first;  // neighbours among doubles
  }
  return {.threshold = std::isfinite(threshold) ? threshold : kLargestDistance,
          .accuracy = static_cast<double>(best) / static_cast<double>(pairs.size())};
}

std::vector<AcceptRate> AcceptRates(absl::Span<const double> distances, const std::vector<bool>& same,
                                    absl::Span<const double> fars) {
  std::vector<double> of_same, of_different;
  for (size_t i = 0; i < distances.size(); ++i) (same[i] ? of_same : of_different).push_back(Finite(distances[i]));
  if (of_same.empty() || of_different.empty()) return {};
  std::sort(of_same.begin(), of_same.end());
  std::sort(of_different.begin(), of_different.end());

  std::vector<AcceptRate> rates;
  for (const double far : fars) {
    const double allowed = std::floor(far * static_cast<double>(of_different.size()) + kRounding);
    // The largest threshold that accepts no more is the distance of the first pair that must not be accepted.
    const size_t out = static_cast<size_t>(std::max(allowed, 0.0));
    const double threshold = out < of_different.size() ? of_different[out] : std::numeric_limits<double>::infinity();
    rates.push_back({.far = far,
                     .tar = static_cast<double>(Below(of_same, threshold)) / static_cast<double>(of_same.size()),
                     .false_accepts = Below(of_different, threshold)});
  }
  return rates;
}

}  // namespace arcshard::worker
