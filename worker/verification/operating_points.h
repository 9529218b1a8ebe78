#pragma once

#include <vector>

#include "absl/types/span.h"
#include "common/protocol/verification_report.h"

// The accuracy and the accept rates of one threshold over all pairs. A pair is accepted as the same class when its
// distance is below the threshold; a distance that is NaN is never accepted. Every threshold that separates two
// distances is tried, so nothing depends on a grid.
namespace arcshard::worker {

struct OperatingPoint {
  double threshold = 0.0;
  double accuracy = 0.0;  // share of the pairs that are classified correctly
};

// The threshold with the best accuracy, the smallest of equals: half way between the two distances that it separates,
// the smallest distance if it accepts nothing, and 4, the largest squared distance of unit vectors, if it accepts all.
// Threshold and accuracy are 0 without a pair. distances, same: P each.
OperatingPoint BestThreshold(absl::Span<const double> distances, const std::vector<bool>& same);

// The exact TAR at each of `fars`: of all thresholds that accept at most floor(far·n) of the n pairs of two classes,
// the one that accepts most pairs of one class. If n < 1/far, the threshold accepts none of the n: the result is the
// TAR without a false accept, and n is too small to distinguish the FAR from 0. Empty unless there are pairs of both
// kinds.
std::vector<AcceptRate> AcceptRates(absl::Span<const double> distances, const std::vector<bool>& same,
                                    absl::Span<const double> fars);

}  // namespace arcshard::worker
