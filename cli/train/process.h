#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/train/process_exit.h"

namespace arcshard::cli {

// A child process. It runs in a process group of its own, so that a terminal's Ctrl-C does not reach it; reads nothing;
// writes stdout and stderr to its log; inherits no descriptor but those and `inherit_fd`; starts with no signal blocked
// or ignored; and dies (SIGKILL) with the thread that started it. Not thread-safe.
class Process {
 public:
  struct Options {
    std::string program;                   // path
    std::vector<std::string> arguments;    // without the program's name
    std::vector<std::string> environment;  // KEY=value, beside or instead of what this process has
    std::string log;                       // file; emptied first
    int inherit_fd = -1;                   // under the same number; at least 3
  };

  // Returns once the program runs. Errors name the program or the log: NotFound, PermissionDenied and so on, as errno
  // says.
  static absl::StatusOr<std::unique_ptr<Process>> Start(const Options& options);

  // Kills the process if it still runs, and waits for it.
  ~Process();

  pid_t pid() const { return pid_; }

  // How it ended; nothing while it runs. Does not wait.
  std::optional<ProcessExit> Poll();

  // To the process, SIGKILL to its whole group; nothing once it has ended.
  void Signal(int signal);

 private:
  explicit Process(pid_t pid) : pid_(pid) {}

  const pid_t pid_;
  std::optional<ProcessExit> exit_;
};

}  // namespace arcshard::cli
