#pragma once

#include <string>

#include "absl/time/time.h"
#include "cli/report/run_record.h"

namespace arcshard::cli {

struct ReportInputs {
  std::string run_folder;
  RunRecord record;
  std::string config_yaml = {};     // RUN/config.yaml, as it is
  std::string config_missing = {};  // why it could not be read; empty: it was
  absl::Time made;
};

// One HTML page that needs nothing else: no script, no font, no picture, no network; a policy in it forbids them. It is
// well-formed XML too. Whatever a run says of itself stands in it as text.
std::string ReportPage(const ReportInputs& inputs);

}  // namespace arcshard::cli
