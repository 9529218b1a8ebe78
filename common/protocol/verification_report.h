#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace arcshard {

// The true accept rate at a false accept rate (coordinator.proto, AcceptRate).
struct AcceptRate {
  double far = 0.0;            // asked for
  double tar = 0.0;            // of the pairs of one class
  uint64_t false_accepts = 0;  // pairs of two classes that are accepted with them
  friend bool operator==(const AcceptRate&, const AcceptRate&) = default;
};

// What was measured on one verification set (coordinator.proto, Verification).
struct VerificationReport {
  std::string name;
  double accuracy = 0.0;
  double std = 0.0;
  double threshold = 0.0;
  uint64_t pairs = 0;
  double xnorm = 0.0;
  double overall_accuracy = 0.0;
  double overall_threshold = 0.0;
  uint64_t different_pairs = 0;
  std::vector<AcceptRate> accept_rates = {};
  friend bool operator==(const VerificationReport&, const VerificationReport&) = default;
};

// "accuracy 0.9255 ± 0.0132 (threshold 1.02, xnorm 23.84, 6000 pairs)": by the folds.
std::string DescribeFolds(const VerificationReport& report);

// "all pairs: accuracy 0.9262 (threshold 1.031), TAR 0.8213 at FAR 1e-3, 0.7010 at FAR 1e-4 (0 of 3000)". A rate that
// was measured at fewer than 10 false accepts says at how many, since it rests on so few; without a single one allowed
// the set has too few pairs to tell that FAR from 0.
std::string DescribeAllPairs(const VerificationReport& report);

// Of the sets' accuracies over the folds; 0 without a set. What decides which backbone is the best so far.
double MeanAccuracy(const std::vector<VerificationReport>& reports);

}  // namespace arcshard
