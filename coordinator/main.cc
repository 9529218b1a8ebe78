// arcshard-coordinator: coordinates one run.
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/io/file.h"
#include "common/io/log.h"
#include "common/net/descriptors.h"
#include "common/net/host_port.h"
#include "common/program/command_line.h"
#include "common/program/healthcheck.h"
#include "common/program/security_options.h"
#include "common/program/signal_queue.h"
#include "common/rpc/endpoint.h"
#include "coordinator/coordinator_process.h"

namespace arcshard::coordinator {
namespace {

struct Arguments {
  CoordinatorProcess::Options process;
  int announce_fd = -1;
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
               "cause pid' if the run fails");
  command->Footer("arcshard-coordinator healthcheck tells whether a coordinator serves on this machine.");
}

// Returns an exit code if the program is to end, after it has printed why.
std::optional<int> ParseArguments(int argc, char** argv, Arguments* arguments) {
  CommandLineParser parser(
      "arcshard-coordinator",
      "Coordinates one run of arcshard: waits for its shards and workers, then steps them through the training.",
      nullptr);
  CommandLine command = parser.root();
  std::string resume = "no";
  SecurityOptions security;
  security.AddTo(&command, SecurityOptions::Listens::kYes);
  AddOptions(&command, arguments);
  AddStartOptions(&command, &arguments->process.start, &resume);
  if (const std::optional<int> exit_code = ParseCommandLine(&parser, argc, argv)) return exit_code;
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

absl::Status Coordinate(const Arguments& arguments, SignalQueue* stop_signals, const FileDescriptor& announce_to) {
  ASSIGN_OR_RETURN(const std::unique_ptr<CoordinatorProcess> process, CoordinatorProcess::Create(arguments.process));
  RETURN_IF_ERROR(Announce(announce_to, absl::StrCat("listening ", process->address())));
  return process->RunUntilItEnds(stop_signals);
}

int Main(int argc, char** argv) {
  SetProcessName("arcshard-coordinator");
  signal(SIGPIPE, SIG_IGN);
  QuietGrpc();
  RaiseDescriptorLimit();
  const auto healthcheck = HealthcheckCommand(CertifiedRole::kCoordinator, "127.0.0.1:7000", argc, argv);
  if (healthcheck.has_value()) return *healthcheck;
  const absl::StatusOr<std::unique_ptr<SignalQueue>> stop_signals = SignalQueue::Create({SIGINT, SIGTERM});
  if (!stop_signals.ok()) {
    LogError(stop_signals.status().message());
    return 1;
  }
  Arguments arguments;
  if (const std::optional<int> exit_code = ParseArguments(argc, argv, &arguments)) return *exit_code;
  const FileDescriptor announce_to(arguments.announce_fd);
  const absl::Status status = Coordinate(arguments, stop_signals->get(), announce_to);
  if (status.ok()) return 0;
  LogError(status.message());
  // The reader of the announcements may be gone, which does not change how this process ends.
  Announce(announce_to, absl::StrCat("failed ", ToString(DetailsOf(status)))).IgnoreError();
  return 1;
}

}  // namespace
}  // namespace arcshard::coordinator

int main(int argc, char** argv) { return arcshard::coordinator::Main(argc, argv); }
