#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace arcshard::bench {

// The value of a gauge without labels of its own at http://127.0.0.1:port/metrics. Errors: nobody answers there, or
// there is no such gauge.
absl::StatusOr<double> ScrapeGauge(const std::string& port, const std::string& name);

}  // namespace arcshard::bench
