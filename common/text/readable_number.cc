#include "common/text/readable_number.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"

namespace arcshard {
namespace {

constexpr int kMostDigits = 9;  // after the point

}  // namespace

std::string ReadableRate(double rate) {
  if (!(rate < 10)) return absl::StrFormat("%.0f", rate);
  return rate < 1 ? absl::StrFormat("%.2g", rate) : absl::StrFormat("%.1f", rate);
}

std::string ReadableEpochs(double done, double total) {
  const double scale = total > 0 ? std::ceil(-std::log10(std::min(total, 1.0))) : 0.0;
  const int digits = 2 + static_cast<int>(std::min<double>(scale, kMostDigits - 2));
  const double unit = std::pow(10, digits);
  // Rounded down, so that what is not complete does not look complete; a hair below a multiple is that multiple.
  return absl::StrFormat("%.*f", digits, std::floor(done * unit + 1e-6) / unit);
}

}  // namespace arcshard
