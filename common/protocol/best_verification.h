#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "common/protocol/verification_report.h"

namespace arcshard {

// The best verification of a run so far: the one with the highest mean accuracy over its sets, of equals the earliest.
// A mean over some sets says nothing about a mean over others, so with other sets (verification.sets was changed before
// a resume) the comparison begins anew.
struct BestVerification {
  double accuracy = 0.0;  // the mean
  uint64_t step = 0;
  // The names of the sets that were compared, also where none was better than `accuracy`. Empty: nothing was verified
  // yet, or it is not known of which sets `accuracy` is (a checkpoint of an earlier version).
  std::vector<std::string> sets = {};
  friend bool operator==(const BestVerification&, const BestVerification&) = default;

  // Returns whether the verification after `step_verified` is the best so far; it is kept then.
  bool Take(uint64_t step_verified, const std::vector<VerificationReport>& reports);
};

// The names of the sets, in their order.
std::vector<std::string> NamesOf(const std::vector<VerificationReport>& reports);

}  // namespace arcshard
