#pragma once

#include <string>

// How a process ended, in the launcher's words and as its own exit status.
namespace arcshard::cli {

struct ProcessExit {
  int code = 0;    // of exit(), when no signal ended it
  int signal = 0;  // that ended it; 0: none

  bool ok() const { return code == 0 && signal == 0; }
  friend bool operator==(const ProcessExit&, const ProcessExit&) = default;
};

// What wait(2) reports about a process that has ended.
ProcessExit FromWaitStatus(int wait_status);

// A shell's convention: the code, or 128 + signal.
int ExitStatus(const ProcessExit& exit);

// "ended with status 3", "was killed by signal 9 (SIGKILL)".
std::string Describe(const ProcessExit& exit);

}  // namespace arcshard::cli
