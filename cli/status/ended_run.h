#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "cli/report/run_record.h"
#include "cli/status/status_text.h"

namespace arcshard::cli {

// What a run's folder tells of a run that is not in progress.
struct EndedRunStatus {
  std::string run_folder;
  RunRecord record;              // has at least one life
  uint64_t checkpoint_step = 0;  // of the newest complete one; 0: there is none
  std::string backbone = {};     // path of the trained backbone; empty: there is none
};

// NotFound: no coordinator has written into the folder. Other errors are those of reading metrics.jsonl.
absl::StatusOr<EndedRunStatus> ReadEndedRun(const std::string& run_folder);

// Whether no end is recorded, because the coordinator was killed or still runs.
bool WasInterrupted(const EndedRunStatus& run);

// How the run has ended, how far it came and what it left, for people. Ends with a newline.
std::string EndedRunText(const EndedRunStatus& run, const StatusLook& look = {});

// The same for scripts: StatusJson's fields as far as they are known, with "coordinator" null and an object "ended".
std::string EndedRunJson(const EndedRunStatus& run);

}  // namespace arcshard::cli
