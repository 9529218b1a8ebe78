#include "common/protocol/verification_report.h"

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace arcshard {
namespace {

constexpr uint64_t kFew = 10;  // false accepts; a rate measured at fewer is imprecise

// 0.001 -> "1e-3", 0.05 -> "0.05".
std::string ShortRate(double rate) {
  for (int digits = 1; digits <= 9; ++digits) {
    if (absl::StrFormat("%.0e", rate) == absl::StrFormat("1e-%02d", digits)) return absl::StrCat("1e-", digits);
  }
  return absl::StrCat(rate);
}

}  // namespace

std::string DescribeFolds(const VerificationReport& report) {
  return absl::StrFormat("accuracy %.4f ± %.4f (threshold %.2f, xnorm %.2f, %d pairs)", report.accuracy, report.std,
                         report.threshold, report.xnorm, report.pairs);
}

std::string DescribeAllPairs(const VerificationReport& report) {
  std::string text =
      absl::StrFormat("all pairs: accuracy %.4f (threshold %.3f)", report.overall_accuracy, report.overall_threshold);
  const char* separator = ", TAR ";
  for (const AcceptRate& rate : report.accept_rates) {
    absl::StrAppendFormat(&text, "%s%.4f at FAR %s", separator, rate.tar, ShortRate(rate.far));
    if (rate.false_accepts < kFew) {
      absl::StrAppend(&text, " (", rate.false_accepts, " of ", report.different_pairs, ")");
    }
    separator = ", ";
  }
  return text;
}

double MeanAccuracy(const std::vector<VerificationReport>& reports) {
  double sum = 0.0;
  for (const VerificationReport& report : reports) sum += report.accuracy;
  return reports.empty() ? 0.0 : sum / static_cast<double>(reports.size());
}

}  // namespace arcshard
