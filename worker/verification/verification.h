#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/protocol/verification_report.h"

namespace arcshard::worker {

// How well the distance of two embeddings predicts whether they are of the same class.
struct VerificationResult {
  // LFW's protocol, as InsightFace's eval/verification.py computes it.
  double accuracy = 0.0;        // mean over the folds
  double accuracy_std = 0.0;    // their standard deviation (of the population)
  double best_threshold = 0.0;  // mean over the folds of the squared distance below which a pair counts as the same
  double xnorm = 0.0;           // mean norm of all embeddings, before they are normalized
  // All pairs at once; exact, from the sorted distances instead of a grid of thresholds (operating_points.h).
  double overall_accuracy = 0.0;
  double overall_threshold = 0.0;
  uint64_t different_pairs = 0;
  std::vector<AcceptRate> accept_rates = {};  // at FAR 1e-3 and 1e-4
};

inline constexpr int kVerificationFolds = 10;  // of LFW's protocol

// Verifies P pairs; the embeddings of pair i are rows 2i and 2i + 1. originals, flips: 2P×D, row-major, of the images
// and of their mirror images. The embedding of an image is the sum of both, normalized (0 stays 0). same: P, true where
// both images are of the same class.
//
// The folds are contiguous; the first P mod `folds` of them have one pair more. The threshold of a fold is the one of
// 0, 0.01, ..., 3.99 with the best accuracy on the other folds, the smallest of equals; the fold's accuracy is measured
// with it. A pair whose distance is NaN counts as different. InvalidArgument: sizes disagree, fewer than two folds, or
// fewer pairs than folds; gives the numbers.
absl::StatusOr<VerificationResult> Verify(absl::Span<const float> originals, absl::Span<const float> flips, int64_t dim,
                                          const std::vector<bool>& same, int folds = kVerificationFolds);

}  // namespace arcshard::worker
