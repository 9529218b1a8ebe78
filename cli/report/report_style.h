#pragma once

#include "absl/strings/string_view.h"

namespace arcshard::cli {

// The report's style sheet, for light and dark systems, narrow and wide windows, and paper. The classes s0 to s7 colour
// the series of a chart.
extern const absl::string_view kReportStyle;

}  // namespace arcshard::cli
