#pragma once

#include <string>

#include "absl/status/status.h"

namespace arcshard::cli {

struct ReportOptions {
  std::string run_folder;
  std::string output = {};  // empty: report.html in the run folder
};

// `arcshard report`: makes one HTML page (report_page.h) of a run's metrics.jsonl and config.yaml, whether the run has
// ended or not, and says on stdout where it is. NotFound: there is no such folder, or no run has left anything there;
// says what is missing. Damaged lines are named on stderr and passed over.
absl::Status WriteReport(const ReportOptions& options);

}  // namespace arcshard::cli
