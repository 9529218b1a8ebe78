#pragma once

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "cli/command/command.h"
#include "common/program/security_options.h"
#include "common/rpc/security/security.h"

namespace arcshard::cli {

struct StatusOptions {
  std::string run_folder;                      // of an `arcshard train` on this machine; empty: `coordinator` is given
  std::string coordinator = {};                // host:port
  Security security;                           // of the connection to the coordinator
  bool json = false;                           // for scripts instead of people
  absl::Duration timeout = absl::Seconds(5);   // for the coordinator to answer
  bool watch = false;                          // repeat until the run ends
  absl::Duration interval = absl::Seconds(2);  // between two requests of `watch`
  // How long `watch` asks a coordinator again that has answered and then falls silent: it may be started again.
  absl::Duration patience = absl::Minutes(2);
};

// Prints what a coordinator reports about its run and members. On a terminal the text is coloured and as wide as the
// terminal, and with `watch` each text replaces the one before. If no run is in progress in the folder, though a killed
// launcher may have left its list there, or a run that is watched ends, prints what the folder tells of the last one.
// With `watch` a coordinator that is started again is waited for, as long as a run is in progress in the folder.
// NotFound: no run was ever in the folder. Unavailable, DeadlineExceeded: the coordinator does not answer.
absl::Status ShowStatus(const StatusOptions& options);

// `arcshard status`.
class StatusCommand : public Command {
 public:
  explicit StatusCommand(CommandLine program);

  absl::Status Check() const override;
  absl::StatusOr<int> Run() override;

 private:
  StatusOptions options_;
  double timeout_ = 5, interval_ = 2;  // seconds
  SecurityOptions security_;
};

}  // namespace arcshard::cli
