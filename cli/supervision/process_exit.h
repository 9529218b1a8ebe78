#pragma once

#include <string>

// How a process ended, and how arcshard train reports it.
namespace arcshard::cli {

struct ProcessExit {
  int code = 0;    // exit status; 0 if a signal ended the process
  int signal = 0;  // the signal that ended the process; 0: none

  bool ok() const { return code == 0 && signal == 0; }
  friend bool operator==(const ProcessExit&, const ProcessExit&) = default;
};

// Converts the status that wait(2) reports for a process that has ended.
ProcessExit FromWaitStatus(int wait_status);

// The exit status as a shell reports it: the code, or 128 + signal.
int ExitStatus(const ProcessExit& exit);

// "ended with status 3", "was killed by signal 9 (SIGKILL)".
std::string Describe(const ProcessExit& exit);

}  // namespace arcshard::cli
