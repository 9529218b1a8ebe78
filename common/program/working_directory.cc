#include "common/program/working_directory.h"

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

namespace arcshard {

// Neither the C++ library nor a sanitizer is there yet: system calls only.
__attribute__((no_sanitize("address", "thread", "undefined"), no_stack_protector)) void RequireWorkingDirectory(
    int, char**, char**) {
  static char folder[PATH_MAX];
  if (syscall(SYS_getcwd, folder, sizeof(folder)) >= 0 || errno != ENOENT) return;
  constexpr char kSentence[] =
      "arcshard: error: the working directory was deleted; change to a folder that exists, and start again\n";
  [[maybe_unused]] const long written = syscall(SYS_write, STDERR_FILENO, kSentence, sizeof(kSentence) - 1);
  syscall(SYS_exit_group, 1);
}

}  // namespace arcshard
