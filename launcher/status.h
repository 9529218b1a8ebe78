#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace arcshard::launcher {

struct StatusOptions {
  std::string run_folder;                     // of an `arcshard train` on this machine, whose coordinator is asked; or:
  std::string coordinator;                    // host:port
  bool json = false;                          // for scripts instead of people
  absl::Duration timeout = absl::Seconds(5);  // for the coordinator to answer
};

// `arcshard status`: what a running coordinator tells of its run and members, on stdout. NotFound: no run is in
// progress in the folder, with how the last one ended where that shows. Unavailable, DeadlineExceeded: the coordinator
// does not answer.
absl::Status ShowStatus(const StatusOptions& options);

}  // namespace arcshard::launcher
