// arcshard-coordinator: coordinates one run.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <map>
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

void AddStartOptions(CLI::App* app, StartOptions* options) {
  const std::map<std::string, ResumeMode> modes = {
      {"no", ResumeMode::kNo}, {"yes", ResumeMode::kYes}, {"auto", ResumeMode::kAuto}};
  CLI::Option* resume =
      app->add_option("--resume", options->resume,
                      "Resume from the newest complete checkpoint in run.folder: no (default; refused if there is "
                      "one), yes (refused if there is none), auto")
          ->transform(CLI::Transformer(modes))
          ->type_name("no|yes|auto");
  app->add_flag("--restart", options->restart,
                "Start a new run in a folder with checkpoints; they are kept, in checkpoints-before-N")
      ->excludes(resume);
  app->add_flag("--allow-older", options->allow_older,
                "Before the run, read all checkpoints that are needed in full, and if the newest is damaged resume "
                "from the one before it");
}

void AddOptions(CLI::App* app, Arguments* arguments) {
  CoordinatorProcess::Options* const process = &arguments->process;
  app->footer("arcshard-coordinator healthcheck tells whether one serves.");
  app->add_option("--config", process->config, "The run's YAML file")->required();
  app->add_option("--set", process->overrides, "A key of the configuration, as section.key=value; may be repeated")
      ->allow_extra_args(false);
  app->add_option("--listen", process->listen, "host:port for shards and workers; port 0 takes a free one")
      ->capture_default_str();
  app->add_option("--metrics-listen", process->metrics_listen, "host:port of /metrics; port 0 takes a free one")
      ->capture_default_str();
  app->add_option("--announce-fd", arguments->announce_fd,
                  "File descriptor to write 'listening host:port' to, once the coordinator listens there, and 'failed "
                  "cause pid' if the run fails");
  AddStartOptions(app, &process->start);
}

// Returns an exit code if the program is to end, after it has printed why.
std::optional<int> ParseArguments(int argc, char** argv, Arguments* arguments) {
  CLI::App app(
      "Coordinates one run of arcshard: waits for its shards and workers, then steps them through the training.");
  SecurityOptions security;
  security.AddTo(&app, SecurityOptions::Listens::kYes);
  AddOptions(&app, arguments);
  if (const std::optional<int> exit_code = ParseCommandLine(&app, argc, argv)) return exit_code;
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
