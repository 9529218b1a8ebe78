#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/rpc/security/security.h"

namespace arcshard::cli {

struct StatusOptions {
  std::string run_folder;                     // of an `arcshard train` on this machine, whose coordinator is asked; or:
  std::string coordinator;                    // host:port
  Security security;                          // of the way there
  bool json = false;                          // for scripts instead of people
  absl::Duration timeout = absl::Seconds(5);  // for the coordinator to answer
  bool watch = false;                         // again and again, until the run ends
  absl::Duration interval = absl::Seconds(2);  // from one look to the next
};

// `arcshard status`: what a running coordinator tells of its run and members, on stdout. A terminal shows it in colours
// and as wide as it is, and with `watch` always at the same place. The end of a run that is watched is said, and is no
// error where its folder tells of it. NotFound: no run is in
// progress in the folder, with how the last one ended where that shows. Unavailable, DeadlineExceeded: the coordinator
// does not answer.
absl::Status ShowStatus(const StatusOptions& options);

}  // namespace arcshard::cli
