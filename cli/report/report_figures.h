#pragma once

#include <string>

#include "cli/report/run_record.h"

namespace arcshard::cli {

// The charts of the report page, as HTML: loss, accuracy, speed, memory and phases over the steps of a run.
std::string ReportFigures(const RunRecord& record);

}  // namespace arcshard::cli
