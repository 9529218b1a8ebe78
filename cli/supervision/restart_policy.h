#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "cli/supervision/first_failure.h"
#include "cli/supervision/process_exit.h"
#include "common/base/monotonic_time.h"

namespace arcshard::cli {

// Decides whether a process of a run is started again after its death, and when. Who was killed by a signal had an
// accident, such as the kernel's OOM killer or a fault in the program, and another life may go well. Who ended by
// itself with an error would find the same error again, and whoever sends SIGTERM, SIGINT, SIGHUP or SIGQUIT wants the
// process to end: these are not started again. Not thread-safe.
class RestartPolicy {
 public:
  struct Options {
    uint32_t max_restarts = 5;  // of one process within `window`; 0: none
    absl::Duration window = absl::Minutes(10);
    // Before the second restart within the window. The first one is at once; each further one waits twice as long as
    // the one before, at most `longest_back_off`.
    absl::Duration back_off = absl::Seconds(1);
    absl::Duration longest_back_off = absl::Minutes(1);
  };

  struct Verdict {
    std::optional<MonotonicTime> restart_at;  // no value: it is not started again
    // The part of a sentence that follows the one about the death: "it is started again in 2s (restart 3 of at most 5
    // within 10m)", "it had been started again 5 times within 10m (--max-restarts)". Empty: there is nothing to add.
    std::string clause = {};
  };

  explicit RestartPolicy(const Options& options) : options_(options) {}

  // The process `index` of `role` has ended at `now`, and not in order. A restart that the verdict names counts as
  // done.
  Verdict Died(Role role, uint32_t index, const ProcessExit& exit, MonotonicTime now);
  // The same for a process that is not at fault: it could not be started again, perhaps only because memory is short at
  // the moment, or it had to end because another one died.
  Verdict DiedBlameless(Role role, uint32_t index, MonotonicTime now);

 private:
  const Options options_;
  std::map<std::pair<Role, uint32_t>, std::deque<MonotonicTime>> deaths_;  // that were answered by a restart, in order
};

}  // namespace arcshard::cli
