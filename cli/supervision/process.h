#pragma once

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "cli/supervision/process_exit.h"

namespace arcshard::cli {

// A child process. It has a process group of its own, so that a terminal's Ctrl-C does not reach it; its stdin is
// empty; its stdout and stderr go to its log; it inherits no other descriptors but `inherit_fd`; it starts with no
// signal blocked or ignored; and it is killed (SIGKILL) when the thread that started it ends. Not thread-safe.
class Process {
 public:
  struct Options {
    std::string program;                   // path
    std::vector<std::string> arguments;    // without the program's name
    std::vector<std::string> environment;  // KEY=value, added to this process's environment or replacing its values
    std::string log;                       // path; what earlier processes wrote there stays (OpenLog)
    std::string why = {};                  // for the log, if it has an earlier life: why another one begins
    int output_fd = -1;   // if not negative: instead of `log`, such as a pipe's end; stays the caller's
    int inherit_fd = -1;  // the child has it under the same number; at least 3; -1: none
  };

  // Returns once the program runs. Errors name the program or the log; their code follows errno: NotFound,
  // PermissionDenied and so on.
  static absl::StatusOr<std::unique_ptr<Process>> Start(const Options& options);

  // Kills the process if it still runs, and waits for it.
  ~Process();

  pid_t pid() const { return pid_; }

  // How it ended; nullopt while it runs. Does not wait.
  std::optional<ProcessExit> Poll();

  // Sends a signal to the process, and SIGKILL to its whole group. Does nothing once Poll has returned its end.
  void Signal(int signal);

 private:
  explicit Process(pid_t pid) : pid_(pid) {}

  const pid_t pid_;
  std::optional<ProcessExit> exit_;
};

}  // namespace arcshard::cli
