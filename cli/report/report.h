#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/command/command.h"

namespace arcshard::cli {

struct ReportOptions {
  std::string run_folder;
  std::string output = {};  // empty: report.html in the run folder
};

// Makes one HTML page (report_page.h) from a run's metrics.jsonl and config.yaml, whether the run has ended or not, and
// prints its path on stdout. Damaged lines of metrics.jsonl are reported on stderr and skipped. NotFound: the folder
// does not exist, or a file is missing in it; the message says which.
absl::Status WriteReport(const ReportOptions& options);

// `arcshard report`.
class ReportCommand : public Command {
 public:
  explicit ReportCommand(CommandLine program);

  absl::StatusOr<int> Run() override;

 private:
  ReportOptions options_;
};

}  // namespace arcshard::cli
