#pragma once

#include <string>

#include "absl/time/time.h"
#include "cli/report/run_record.h"

namespace arcshard::cli {

struct ReportInputs {
  std::string run_folder;
  RunRecord record;
  std::string config_yaml = {};     // the contents of RUN/config.yaml
  std::string config_missing = {};  // why it could not be read; empty: it was read
  absl::Time made;
};

// One HTML page that is complete by itself: it has no scripts, fonts, pictures or links to other files, and its
// security policy forbids them. It is also well-formed XML. Names and messages of the run are escaped, so they appear
// as text.
std::string ReportPage(const ReportInputs& inputs);

}  // namespace arcshard::cli
