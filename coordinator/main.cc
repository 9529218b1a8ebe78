// arcshard-coordinator: coordinates one run.
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/clock.h"
#include "common/base/failure_details.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/io/file.h"
#include "common/io/log.h"
#include "common/net/descriptors.h"
#include "common/net/host_port.h"
#include "common/program/command_line.h"
#include "common/program/security_options.h"
#include "common/program/stop_on_signal.h"
#include "common/program/trace_option.h"
#include "common/program/working_directory.h"
#include "common/rpc/endpoint.h"
#include "coordinator/coordinator_process.h"

namespace arcshard::coordinator {
namespace {

struct Arguments {
  CoordinatorProcess::Options process;
  int announce_fd = -1;
  absl::Duration stop_grace;
};

// What a signal stops in order: the run, once the coordinator has started; after it nothing any more, since the process
// ends. Thread-safe.
class Stoppable {
 public:
  void Set(std::function<void()> stop) {
    MutexLock lock(&mutex_);
    stop_ = std::move(stop);
    if (asked_) stop_();
  }
  // While the process is still starting, it stops as soon as it can do so in order: a start that is cut off could leave
  // the checkpoints that a restart puts aside where no later start finds them.
  void Stop() {
    MutexLock lock(&mutex_);
    asked_ = true;
    if (stop_ != nullptr) stop_();
  }

 private:
  Mutex mutex_;
  bool asked_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> stop_ ABSL_GUARDED_BY(mutex_);
};

// A mode as --resume calls it.
ResumeMode ResumeModeOf(const std::string& word) {
  if (word == "yes") return ResumeMode::kYes;
  return word == "auto" ? ResumeMode::kAuto : ResumeMode::kNo;
}

void AddStartOptions(CommandLine* command, StartOptions* options, std::string* resume) {
  CommandLineOption resume_option =
      command
          ->Add("--resume", resume,
                "Resume from the newest complete checkpoint in run.folder: no (default; refused if there is one), yes "
                "(refused if there is none), auto")
          .OneOf({"no", "yes", "auto"});
  command
      ->AddFlag("--restart", &options->restart,
                "Start a new run in a folder with checkpoints; they are kept, in checkpoints-before-N")
      .Excludes(resume_option);
  command->AddFlag("--allow-older", &options->allow_older,
                   "Before the run, read all checkpoints that are needed in full, and if the newest is damaged resume "
                   "from the one before it");
}

void AddOptions(CommandLine* command, Arguments* arguments) {
  CoordinatorProcess::Options* const process = &arguments->process;
  command->Add("--config", &process->config, "The run's YAML file").Required();
  command->Add("--set", &process->overrides, "A key of the configuration, as section.key=value; may be repeated")
      .OneValueEach();
  command->Add("--listen", &process->listen, "host:port for shards and workers; port 0 takes a free one")
      .ShowDefault()
      .Check(ListenAddressProblem);
  command->Add("--metrics-listen", &process->metrics_listen, "host:port of /metrics; port 0 takes a free one")
      .ShowDefault()
      .Check(ListenAddressProblem);
  command->Add("--announce-fd", &arguments->announce_fd,
               "File descriptor to write 'listening host:port' to, once the coordinator listens there, and 'failed "
               "cause pid' if the run fails. Whoever reads it decides when this process ends at once: a second "
               "signal does not");
  command->Add("--trace", &process->trace, kTraceHelp);
  command->Footer("arcshard healthcheck coordinator tells whether a coordinator serves on this machine.");
}

// Returns an exit code if the program is to end, after it has printed why.
std::optional<int> ParseArguments(int argc, char** argv, Arguments* arguments) {
  CommandLineParser parser(
      "arcshard-coordinator",
      "Coordinates one run of arcshard: waits for its shards and workers, then steps them through the training.",
      nullptr);
  CommandLine command = parser.root();
  std::string resume = "no", stop_grace = kStopGrace;
  SecurityOptions security;
  security.AddTo(&command, SecurityOptions::Listens::kYes);
  AddOptions(&command, arguments);
  AddStartOptions(&command, &arguments->process.start, &resume);
  command.Add("--stop-grace", &stop_grace, kStopGraceHelp).ShowDefault();
  if (const std::optional<int> exit_code = ParseCommandLine(&parser, argc, argv)) return exit_code;
  if (const std::optional<int> exit_code = ParseDurationOption("--stop-grace", stop_grace, &arguments->stop_grace)) {
    return exit_code;
  }
  arguments->process.start.resume = ResumeModeOf(resume);
  return security.Take(CertifiedRole::kCoordinator, &arguments->process.security);
}

// Writes a line to the parent process: "listening HOST:PORT", and at the end "failed CAUSE PID" (failure_details.h) if
// the run failed.
absl::Status Announce(const FileDescriptor& to, absl::string_view text) {
  if (!to.valid()) return absl::OkStatus();
  const std::string line = absl::StrCat(text, "\n");
  ssize_t written;
  do {
    written = write(to.get(), line.data(), line.size());
  } while (written < 0 && errno == EINTR);
  if (written != static_cast<ssize_t>(line.size())) {
    return ErrnoStatus(errno, absl::StrCat("--announce-fd ", to.get()), "cannot write");
  }
  return absl::OkStatus();
}

absl::Status Coordinate(const Arguments& arguments, Stoppable* stoppable, const FileDescriptor& announce_to) {
  ASSIGN_OR_RETURN(const std::unique_ptr<CoordinatorProcess> process, CoordinatorProcess::Create(arguments.process));
  stoppable->Set([&process] { process->RequestStop(); });
  absl::Status status = Announce(announce_to, absl::StrCat("listening ", process->address()));
  if (status.ok()) status = process->RunUntilItEnds();
  stoppable->Set([] {});
  return status;
}

int Main(int argc, char** argv) {
  SetProcessName("arcshard-coordinator");
  PrepareGrpc();
  RaiseDescriptorLimit();
  const absl::StatusOr<std::unique_ptr<SignalQueue>> signals = TakeStopSignals();
  if (!signals.ok()) {
    LogError(signals.status().message());
    return EXIT_FAILURE;
  }
  Arguments arguments;
  if (const std::optional<int> exit_code = ParseArguments(argc, argv, &arguments)) return *exit_code;
  const FileDescriptor announce_to(arguments.announce_fd);
  const SystemClock clock;
  Stoppable stoppable;
  const StopOnSignal stop({.signals = signals->get(),
                           .clock = &clock,
                           .grace = arguments.stop_grace,
                           .ends_when_repeated = !announce_to.valid(),
                           .ask = [&stoppable](const std::string&) {
                             stoppable.Stop();
                             return true;
                           }});
  const absl::Status status = Coordinate(arguments, &stoppable, announce_to);
  if (status.ok()) return EXIT_SUCCESS;
  LogError(status.message());
  // The reader of the announcements may be gone, which does not change how this process ends.
  Announce(announce_to, absl::StrCat("failed ", ToString(DetailsOf(status)))).IgnoreError();
  return EXIT_FAILURE;
}

}  // namespace
}  // namespace arcshard::coordinator

int main(int argc, char** argv) { return arcshard::coordinator::Main(argc, argv); }
