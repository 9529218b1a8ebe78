#pragma once

#include <vector>

#include "absl/types/span.h"
#include "common/protocol/verification_report.h"

// What one threshold over all pairs reaches. A pair counts as the same when its distance is below the threshold; a
// distance that is not a number is below none. Every threshold that tells two distances apart is looked at, so nothing
// depends on a grid.
namespace arcshard::worker {

struct OperatingPoint {
  double threshold = 0.0;
  double accuracy = 0.0;  // share of the pairs that are told rightly
};

// The threshold with the best accuracy, the smallest of equals: half way between the two distances that it parts, or a
// distance's own value where it accepts nothing; 4, the largest squared distance of unit vectors, where it accepts all.
// 0 and 0 without a pair. distances, same: P each.
OperatingPoint BestThreshold(absl::Span<const double> distances, const std::vector<bool>& same);

// For each of `fars` the exact TAR: thresholds accept at most floor(far·n) of the n pairs of two classes, and of those
// the one that accepts most pairs of one class counts. With n < 1/far that is none of them: the figure is then the TAR
// without a false accept, and n is too small to tell the FAR from 0. Empty unless there are pairs of both kinds.
std::vector<AcceptRate> AcceptRates(absl::Span<const double> distances, const std::vector<bool>& same,
                                    absl::Span<const double> fars);

}  // namespace arcshard::worker
