#include "cli/supervision/process.h"

#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <csignal>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "cli/supervision/log_tail.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

extern char** environ;

namespace arcshard::cli {
namespace {

absl::string_view KeyOf(absl::string_view variable) { return variable.substr(0, variable.find('=')); }

// This process's environment with the values of `changes` added or replaced.
std::vector<std::string> Environment(const std::vector<std::string>& changes) {
  std::vector<std::string> environment = changes;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    bool changed = false;
    for (const std::string& change : changes) changed = changed || KeyOf(change) == KeyOf(*variable);
    if (!changed) environment.push_back(*variable);
  }
  return environment;
}

std::vector<char*> Pointers(std::vector<std::string>& strings) {
  std::vector<char*> pointers;
  for (std::string& string : strings) pointers.push_back(string.data());
  pointers.push_back(nullptr);
  return pointers;
}

// This process's open descriptors, without the standard ones.
std::vector<int> OpenDescriptors() {
  std::vector<int> open;
  std::error_code error;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    int fd = -1;
    std::from_chars(name.data(), name.data() + name.size(), fd);
    if (fd > STDERR_FILENO) open.push_back(fd);
  }
  return open;
}

// Everything that the child needs between fork and exec. It must not allocate there, since this process may have
// threads.
struct ChildPlan {
  const char* program;
  char* const* arguments;
  char* const* environment;
  int input, log, inherit_fd;
  int failure;  // pipe to the parent: exec closes it; if exec fails, errno is written to it
  pid_t parent;
  const std::vector<int>* open;  // the parent's descriptors
};

// Lets exec close all descriptors but the standard ones. Kernels before 5.11 and some containers do not have
// close_range with this flag; almost every descriptor of this process closes itself, and those that were inherited are
// in the list.
void CloseAtExec(const std::vector<int>& open) {
  if (close_range(3, ~0U, CLOSE_RANGE_CLOEXEC) == 0) return;
  for (const int fd : open) fcntl(fd, F_SETFD, FD_CLOEXEC);
}

[[noreturn]] void BecomeProgram(const ChildPlan& plan) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() != plan.parent) _exit(1);  // the parent died before prctl took effect

  struct sigaction by_default {};
  by_default.sa_handler = SIG_DFL;
  for (int signal = 1; signal < NSIG; ++signal) sigaction(signal, &by_default, nullptr);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);

  CloseAtExec(*plan.open);
  const bool ready = dup2(plan.input, STDIN_FILENO) >= 0 && dup2(plan.log, STDOUT_FILENO) >= 0 &&
                     dup2(plan.log, STDERR_FILENO) >= 0 &&
                     (plan.inherit_fd < 0 || fcntl(plan.inherit_fd, F_SETFD, 0) == 0);
  if (ready) execve(plan.program, plan.arguments, plan.environment);
  const int error = errno;
  [[maybe_unused]] const ssize_t written = write(plan.failure, &error, sizeof(error));
  _exit(127);
}

// Waits until the child has become the program: 0, or has failed to: its errno.
int AwaitExec(int failure_pipe) {
  int error = 0;
  ssize_t bytes;
  do {
    bytes = read(failure_pipe, &error, sizeof(error));
  } while (bytes < 0 && errno == EINTR);
  return bytes == sizeof(error) ? error : 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Process>> Process::Start(const Options& options) {
  const FileDescriptor input = OpenDescriptor("/dev/null", O_RDONLY);
  if (!input.valid()) return ErrnoStatus(errno, "/dev/null", "cannot open");
  FileDescriptor log;
  if (options.output_fd < 0) {
    ASSIGN_OR_RETURN(log, OpenLog(options.log, SystemClock().WallTime(), options.why));
  }
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, options.program, "cannot start");
  const FileDescriptor failure(ends[0]);
  FileDescriptor child_failure(ends[1]);

  std::vector<std::string> arguments = options.arguments;
  arguments.insert(arguments.begin(), options.program);
  std::vector<std::string> environment = Environment(options.environment);
  const std::vector<char*> argv = Pointers(arguments), envp = Pointers(environment);
  const std::vector<int> open = OpenDescriptors();
  const ChildPlan plan = {.program = options.program.c_str(),
                          .arguments = argv.data(),
                          .environment = envp.data(),
                          .input = input.get(),
                          .log = options.output_fd < 0 ? log.get() : options.output_fd,
                          .inherit_fd = options.inherit_fd,
                          .failure = child_failure.get(),
                          .parent = getpid(),
                          .open = &open};
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus(errno, options.program, "cannot start");
  if (pid == 0) BecomeProgram(plan);

  std::unique_ptr<Process> process(new Process(pid));
  child_failure = FileDescriptor();
  if (const int error = AwaitExec(failure.get()); error != 0)
    return ErrnoStatus(error, options.program, "cannot start");
  return process;
}

Process::~Process() {
  if (Poll().has_value()) return;
  Signal(SIGKILL);
  int status = 0;
  while (waitpid(pid_, &status, 0) < 0 && errno == EINTR) {
  }
}

std::optional<ProcessExit> Process::Poll() {
  int status = 0;
  if (!exit_.has_value() && waitpid(pid_, &status, WNOHANG) == pid_) exit_ = FromWaitStatus(status);
  return exit_;
}

void Process::Signal(int signal) {
  if (exit_.has_value()) return;
  kill(signal == SIGKILL ? -pid_ : pid_, signal);
}

}  // namespace arcshard::cli
