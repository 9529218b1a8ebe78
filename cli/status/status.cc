#include "cli/status/status.h"

#include <grpcpp/client_context.h>
#include <unistd.h>

#include <chrono>
#include <memory>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "absl/time/clock.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "cli/display/console.h"
#include "cli/display/terminal.h"
#include "cli/status/ended_run.h"
#include "cli/status/status_text.h"
#include "cli/supervision/run_folder.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/net/host_port.h"
#include "common/rpc/deadline.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/status.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

class Coordinator {
 public:
  Coordinator(const std::string& address, const Security& security)
      : name_(absl::StrCat("the coordinator at ", address)),
        channel_(MakeChannel(address, security, CertifiedRole::kCoordinator)),
        stub_(v1::Coordinator::NewStub(channel_)) {}

  absl::StatusOr<v1::RunStatus> Ask(absl::Duration timeout) {
    const SystemClock clock;
    const MonotonicTime deadline = clock.Now() + timeout;
    RETURN_IF_ERROR(AwaitConnected(channel_.get(), name_, timeout));
    grpc::ClientContext context;
    context.set_deadline(DeadlineIn(deadline - clock.Now()));
    v1::RunStatus status;
    RETURN_IF_ERROR(Annotate(FromGrpcStatus(stub_->GetStatus(&context, v1::StatusRequest(), &status)), name_));
    return status;
  }

 private:
  const std::string name_;
  const std::shared_ptr<grpc::Channel> channel_;
  const std::unique_ptr<v1::Coordinator::Stub> stub_;
};

// The first `lines` lines of `text`, with escapes that write them over the terminal from its top left corner.
std::string InPlace(absl::string_view text, size_t lines) {
  std::string screen = "\x1b[H";
  for (const absl::string_view line : absl::StrSplit(absl::StripSuffix(text, "\n"), '\n')) {
    if (lines-- == 0) break;
    absl::StrAppend(&screen, line, "\x1b[K\n");
  }
  return screen + "\x1b[J";
}

StatusLook LookOfStdout() {
  if (isatty(STDOUT_FILENO) == 0) return {};
  return {.width = TerminalWidth(STDOUT_FILENO), .colours = HasColours(STDOUT_FILENO), .bar = true};
}

std::string TextOf(const v1::RunStatus& status, const std::string& coordinator, bool json) {
  return json ? StatusJson(status, coordinator) : StatusText(status, coordinator, LookOfStdout());
}

// No run is in progress in the folder, says `why`: prints how the last one has ended. Returns `why` if there was none,
// and an error if it has not ended in order, so that a script that waits for the end can tell.
absl::Status ShowEnded(const StatusOptions& options, const absl::Status& why) {
  const absl::StatusOr<EndedRunStatus> run = ReadEndedRun(options.run_folder);
  if (absl::IsNotFound(run.status())) return why;
  RETURN_IF_ERROR(run.status());
  RETURN_IF_ERROR(options.json ? PrintData(EndedRunJson(*run)) : PrintText(EndedRunText(*run, LookOfStdout())));
  if (!WasInterrupted(*run)) return absl::OkStatus();
  return absl::AbortedError(absl::StrCat("the run in ", options.run_folder,
                                         " was interrupted: no process of it lives, and ",
                                         "none has recorded its end (arcshard train --resume continues it)"));
}

// Prints one answer. first: there was none before it. in_place: over the last one.
absl::Status Show(const std::string& text, bool first, bool in_place, bool json) {
  if (json) return PrintData(text);
  if (!in_place) return PrintText(absl::StrCat(first ? "" : "\n", text));
  const std::string printable = PrintablePainted(HasColours(STDOUT_FILENO), text);
  return PrintRaw(absl::StrCat(first ? "\x1b[2J" : "", InPlace(printable, TerminalHeight(STDOUT_FILENO) - 1)));
}

// The coordinator does not answer, or not any more, for the reason `why`. If the run's folder shows that the run has
// ended meanwhile, prints that and returns OK; otherwise returns `why`.
absl::Status ExplainSilence(const StatusOptions& options, const absl::Status& why) {
  if (options.run_folder.empty()) return why;
  const absl::Status ended = RunFolder::CoordinatorOf(options.run_folder).status();
  return absl::IsNotFound(ended) ? ShowEnded(options, ended) : Annotate(why, options.run_folder);
}

// Whether the run may still be in progress although its coordinator does not answer.
bool MayBeInProgress(const StatusOptions& options) {
  return options.run_folder.empty() || !absl::IsNotFound(RunFolder::CoordinatorOf(options.run_folder).status());
}

}  // namespace

absl::Status ShowStatus(const StatusOptions& options) {
  std::string address = options.coordinator;
  if (address.empty()) {
    const absl::StatusOr<std::string> running = RunFolder::CoordinatorOf(options.run_folder);
    if (absl::IsNotFound(running.status())) return ShowEnded(options, running.status());
    RETURN_IF_ERROR(running.status());
    address = *running;
  }
  Coordinator coordinator(address, options.security);
  const bool in_place = options.watch && !options.json && ObeysEscapes(STDOUT_FILENO);
  const SystemClock clock;
  MonotonicTime give_up_at = clock.Now();
  for (bool first = true;;) {
    const absl::StatusOr<v1::RunStatus> status = coordinator.Ask(options.timeout);
    if (status.ok()) {
      RETURN_IF_ERROR(Show(TextOf(*status, address, options.json), first, in_place, options.json));
      const v1::Progress::Phase phase = status->progress().phase();
      const bool ended = phase == v1::Progress::PHASE_FINISHED || phase == v1::Progress::PHASE_FAILED;
      if (!options.watch || ended) return absl::OkStatus();
      first = false;
      give_up_at = clock.Now() + options.patience;
    } else if (first || clock.Now() >= give_up_at || !MayBeInProgress(options)) {
      return ExplainSilence(options, status.status());
    }
    absl::SleepFor(options.interval);
  }
}

StatusCommand::StatusCommand(CommandLine program)
    : Command(program.AddCommand(
          "status", "Show a run: members, memory and phase times while it is in progress, and how it ended")) {
  CommandLineOption folder =
      line().Add("run", &options_.run_folder, "The run's folder (run.folder), on this machine").ValueName("folder");
  line()
      .Add("--coordinator", &options_.coordinator, "host:port of the run's coordinator instead, on any machine")
      .Check(PeerAddressProblem)
      .Excludes(folder);
  security_.AddTo(&line(), SecurityOptions::Listens::kNo);
  line().AddFlag("--json", &options_.json, "As JSON, with every member's figures");
  line().AddFlag("--watch", &options_.watch, "Repeat until the run ends; a terminal shows the newest text only");
  line()
      .Add("--interval", &interval_, "Seconds between two requests of --watch")
      .WithinReals(0.1, 86400.0)
      .ShowDefault();
  line().Add("--timeout", &timeout_, "Seconds to wait for an answer").Positive().ShowDefault();
}

absl::Status StatusCommand::Check() const {
  if (!options_.run_folder.empty() || !options_.coordinator.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "status needs a run's folder or --coordinator host:port (see arcshard status --help)");
}

absl::StatusOr<int> StatusCommand::Run() {
  options_.timeout = absl::Seconds(timeout_);
  options_.interval = absl::Seconds(interval_);
  if (const auto exit_code = security_.Take(std::nullopt, &options_.security)) return *exit_code;
  RETURN_IF_ERROR(ShowStatus(options_));
  return 0;
}

}  // namespace arcshard::cli
