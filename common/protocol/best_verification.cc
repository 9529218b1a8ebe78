#include "common/protocol/best_verification.h"

#include <utility>

namespace arcshard {

std::vector<std::string> NamesOf(const std::vector<VerificationReport>& reports) {
  std::vector<std::string> names;
  for (const VerificationReport& report : reports) names.push_back(report.name);
  return names;
}

bool BestVerification::Take(uint64_t step_verified, const std::vector<VerificationReport>& reports) {
  std::vector<std::string> names = NamesOf(reports);
  if (!sets.empty() && sets != names) *this = {};
  sets = std::move(names);
  const double mean = MeanAccuracy(reports);
  if (!(mean > accuracy)) return false;  // nor if it is not a number
  accuracy = mean;
  step = step_verified;
  return true;
}

}  // namespace arcshard
