#pragma once

#include "absl/strings/string_view.h"

namespace arcshard::cli {

// The report's style sheet: light and dark as the reader's system is, narrow and wide, on paper. Classes s0 to s7
// colour a chart's series.
extern const absl::string_view kReportStyle;

}  // namespace arcshard::cli
