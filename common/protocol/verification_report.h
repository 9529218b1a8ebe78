#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace arcshard {

// The true accept rate at a given false accept rate (coordinator.proto, AcceptRate).
struct AcceptRate {
  double far = 0.0;            // the given rate
  double tar = 0.0;            // share of the pairs of one class that are accepted
  uint64_t false_accepts = 0;  // number of pairs of two classes that are accepted too
  friend bool operator==(const AcceptRate&, const AcceptRate&) = default;
};

// The results on one verification set (coordinator.proto, Verification).
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
  uint64_t odd = 0;  // accept rates that were too many and were left out; on receipt
  friend bool operator==(const VerificationReport&, const VerificationReport&) = default;
};

// The results over the folds: "accuracy 0.9255 ± 0.0132 (threshold 1.02, xnorm 23.84, 6000 pairs)".
std::string DescribeFolds(const VerificationReport& report);

// The results over all pairs: "all pairs: accuracy 0.9262 (threshold 1.031), TAR 0.8213 at FAR 1e-3, 0.7010 at FAR 1e-4
// (0 of 3000)". The number of false accepts is shown where it is below 10, because such a rate is imprecise. If it is 0
// the set has too few pairs to distinguish that FAR from 0.
std::string DescribeAllPairs(const VerificationReport& report);

// The mean of the sets' accuracies over the folds; 0 without a set. The backbone with the highest mean is the best.
double MeanAccuracy(const std::vector<VerificationReport>& reports);

}  // namespace arcshard
