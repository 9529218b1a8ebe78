#include "cli/supervision/process_exit.h"

#include <sys/wait.h>

#include <cstring>

#include "absl/strings/str_cat.h"

namespace arcshard::cli {

ProcessExit FromWaitStatus(int wait_status) {
  if (WIFSIGNALED(wait_status)) return {.signal = WTERMSIG(wait_status)};
  return {.code = WEXITSTATUS(wait_status)};
}

int ExitStatus(const ProcessExit& exit) { return exit.signal != 0 ? 128 + exit.signal : exit.code; }

std::string Describe(const ProcessExit& exit) {
  if (exit.signal == 0) return absl::StrCat("ended with status ", exit.code);
  const char* name = sigabbrev_np(exit.signal);
  return absl::StrCat("was killed by signal ", exit.signal, name == nullptr ? "" : absl::StrCat(" (SIG", name, ")"));
}

}  // namespace arcshard::cli
