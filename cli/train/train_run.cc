#include "cli/train/train_run.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "cli/display/console.h"
#include "cli/display/terminal.h"
#include "cli/train/machine_notes.h"
#include "cli/train/run_processes.h"
#include "cli/train/run_summary.h"
#include "cli/train/run_trace.h"
#include "common/base/status_macros.h"
#include "common/config/load_config.h"
#include "common/io/file_system.h"
#include "common/io/log.h"

namespace arcshard::cli {
namespace {

constexpr absl::Duration kLastReports = absl::Seconds(1);  // for reports to arrive after the coordinator's end
// Signals that come so soon after the first are the same request: timeout(1) signals a process and then its group.
constexpr absl::Duration kSameRequest = absl::Milliseconds(200);

// A run goes on when its progress cannot be printed.
void WriteOut(absl::string_view text) { PrintRaw(text).IgnoreError(); }

ProgressPrinter::Options PrinterOptions(bool quiet) {
  if (quiet) return {.write = [](absl::string_view) {}, .terminal_width = nullptr};
  ProgressPrinter::Options options{.write = WriteOut, .terminal_width = nullptr};
  if (ObeysEscapes(STDOUT_FILENO)) options.terminal_width = [] { return TerminalWidth(STDOUT_FILENO); };
  options.colours = HasColours(STDOUT_FILENO);
  return options;
}

// For a sentence about a stop that is requested in this phase.
absl::string_view HowItStops(v1::Progress::Phase phase) {
  switch (phase) {
    case v1::Progress::PHASE_UNSPECIFIED:
    case v1::Progress::PHASE_GATHERING:
    case v1::Progress::PHASE_JOINING:
    case v1::Progress::PHASE_RECOVERING:
      return "before the next step";
    case v1::Progress::PHASE_EVALUATING:
      return "without the rest of the verification, with a checkpoint";
    default:
      return "after the current step, with a checkpoint";
  }
}

}  // namespace

TrainRun::TrainRun(const TrainOptions& options, const RunConfig& config, RunFolder folder,
                   std::unique_ptr<SignalQueue> signals)
    : options_(options),
      config_(config),
      folder_(std::move(folder)),
      signals_(std::move(signals)),
      printer_(PrinterOptions(options.quiet), &clock_),
      supervisor_({.restarts = {.max_restarts = options.max_restarts}}, &clock_) {}

absl::StatusOr<int> TrainRun::Run() {
  if (!folder_.warning().empty()) printer_.Line(absl::StrCat("warning: ", folder_.warning()));
  printer_.Line(absl::StrCat("run folder: ", config_.run.folder, " (its config.yaml, logs/)"));
  if (!config_.data.train.empty()) printer_.Line(absl::StrCat("training set: ", config_.data.train));
  if (!options_.resume.empty()) {
    for (const std::string& change : ChangesSinceCheckpoint(RealFileSystem(), config_)) printer_.Line(change);
  }
  for (const std::string& note : NotesOnThisMachine(options_, config_)) printer_.Line(absl::StrCat("note: ", note));
  if (!options_.trace.empty()) RETURN_IF_ERROR(RunTrace(RealFileSystem(), options_.trace).Prepare());
  RETURN_IF_ERROR(StartCoordinator());
  while (!supervisor_.all_ended()) {
    AwaitEvent();
    for (const int signal : signals_->Take()) {
      if (signal != SIGCHLD) Interrupt(signal);
    }
    if (!listens_) RETURN_IF_ERROR(TakeAddress());
    if (watch_ != nullptr) ShowReports();
    supervisor_.Update();
    TellNews();
    if (interrupted_ && supervisor_.coordinator_ended_in_order()) DismissWaitingMembers();
  }
  ShowLastReports();
  const int status = Conclude();
  MergeTrace();  // last: it may take longer than who stops the run waits
  return status;
}

absl::Status TrainRun::StartCoordinator() {
  ASSIGN_OR_RETURN(kept_config_, folder_.KeepConfig(ToYaml(config_)));
  ASSIGN_OR_RETURN(port_, PortReservation::Take());
  ASSIGN_OR_RETURN(const FileDescriptor to_announce, announcement_.Open());
  // With --allow-older the coordinator reads whole checkpoints before it listens.
  address_deadline_ =
      options_.allow_older ? MonotonicTime::InfiniteFuture() : clock_.Now() + config_.cluster.connect_timeout;
  return Start(Role::kCoordinator, 0, CoordinatorProcess(options_, port_->address(), to_announce.get()));
}

absl::Status TrainRun::StartShardsAndWorkers() {
  for (uint32_t i = 0; i < config_.cluster.shards; ++i) {
    RETURN_IF_ERROR(Start(Role::kShard, i, ShardProcess(options_, config_, address_, i)));
  }
  for (uint32_t i = 0; i < config_.cluster.workers; ++i) {
    RETURN_IF_ERROR(Start(Role::kWorker, i, WorkerProcess(options_, config_, address_, i)));
  }
  return absl::OkStatus();
}

absl::Status TrainRun::Start(Role role, uint32_t index, Process::Options process) {
  ASSIGN_OR_RETURN(std::unique_ptr<Process> started, Launch(role, index, std::move(process)));
  supervisor_.Add(role, index, std::move(started), folder_.LogOf(role, index));
  return folder_.List(address_, supervisor_.running());
}

absl::StatusOr<std::unique_ptr<Process>> TrainRun::Launch(Role role, uint32_t index, Process::Options process) {
  process.program = absl::StrCat(options_.bin_folder, "/", ProgramOf(role));
  process.log = folder_.LogOf(role, index);
  if (!options_.trace.empty()) {
    const std::string name = absl::StrCat(ProgramOf(role), "-", index);
    process.arguments.insert(process.arguments.end(), {"--trace", RunTrace::PartOf(options_.trace, name)});
  }
  process.environment.push_back(absl::StrCat(kLogFileVariable, "=", process.log));
  return Process::Start(process);
}

absl::StatusOr<std::unique_ptr<Process>> TrainRun::StartAgain(Role role, uint32_t index, const std::string& why) {
  if (role == Role::kCoordinator) return StartCoordinatorAgain(why);
  Process::Options process = role == Role::kShard ? LaterShardProcess(options_, config_, address_, index)
                                                  : WorkerProcess(options_, config_, address_, index);
  process.why = why;
  return Launch(role, index, std::move(process));
}

absl::StatusOr<std::unique_ptr<Process>> TrainRun::StartCoordinatorAgain(const std::string& why) {
  ASSIGN_OR_RETURN(const FileDescriptor to_announce, announcement_.Open());
  Process::Options process = LaterCoordinatorProcess(kept_config_, address_, to_announce.get());
  process.why = why;
  ASSIGN_OR_RETURN(std::unique_ptr<Process> started, Launch(Role::kCoordinator, 0, std::move(process)));
  listens_ = false;
  address_deadline_ = clock_.Now() + config_.cluster.connect_timeout;
  recoveries_.BeginLife();
  return started;
}

void TrainRun::AwaitEvent() {
  std::vector<pollfd> fds = {{signals_->fd(), POLLIN, 0}};
  MonotonicTime deadline = supervisor_.deadline();
  if (!listens_ && announcement_.fd() >= 0) {
    fds.push_back({announcement_.fd(), POLLIN, 0});
    deadline = std::min(deadline, address_deadline_);
  }
  if (watch_ != nullptr) fds.push_back({watch_->fd(), POLLIN, 0});
  const timespec timeout = absl::ToTimespec(std::max(deadline - clock_.Now(), absl::ZeroDuration()));
  ppoll(fds.data(), fds.size(), deadline == MonotonicTime::InfiniteFuture() ? nullptr : &timeout, nullptr);
}

absl::Status TrainRun::TakeAddress() {
  announcement_.Read();
  if (announcement_.address().empty()) {
    // A coordinator that has closed its end has failed: when it ends, in a moment, its log says why.
    if (announcement_.fd() < 0 || clock_.Now() < address_deadline_) return absl::OkStatus();
    return absl::DeadlineExceededError(
        absl::StrCat("waited ", absl::FormatDuration(config_.cluster.connect_timeout),
                     " (cluster.connect_timeout) for arcshard-coordinator to listen; its log is ",
                     folder_.LogOf(Role::kCoordinator, 0)));
  }
  listens_ = true;
  address_ = announcement_.address();
  if (interrupted_) supervisor_.Stop();  // the coordinator could not take SIGTERM for a request to stop until now
  if (watch_ != nullptr) {
    watch_->Reopen();
    return absl::OkStatus();
  }
  if (interrupted_) return absl::OkStatus();
  RETURN_IF_ERROR(StartShardsAndWorkers());
  ASSIGN_OR_RETURN(watch_, WatchClient::Start(address_));
  supervisor_.RestartBy(
      [this](Role role, uint32_t index, const std::string& why) { return StartAgain(role, index, why); });
  return absl::OkStatus();
}

void TrainRun::TellNews() {
  for (const std::string& sentence : supervisor_.TakeNews()) {
    printer_.Line(sentence);
    folder_.Note(clock_.WallTime(), sentence);
  }
  if (listed_restarts_ == supervisor_.restarts()) return;
  listed_restarts_ = supervisor_.restarts();
  // The run goes on without the list, as on a disk that is full for a while.
  const absl::Status listed = folder_.List(address_, supervisor_.running());
  if (!listed.ok()) printer_.Line(absl::StrCat("warning: ", listed.message()));
}

void TrainRun::Interrupt(int signal) {
  const bool telling = signal == SIGINT || signal == SIGTERM;
  if (telling && (told_ || supervisor_.failing())) {
    supervisor_.StopAtOnce();
    return;
  }
  if (!interrupted_ && !supervisor_.failing()) {
    interrupted_ = true;
    if (listens_) supervisor_.Stop();
  }
  if (!telling) return;
  told_ = true;
  signals_->AwaitWake(kSameRequest);
  signals_->Take();  // part of the same request; the supervisor looks for ended children anyway
  printer_.Line(absl::StrCat("stopping ", HowItStops(progress_.phase()), " (interrupt again to stop at once)"));
}

void TrainRun::DismissWaitingMembers() {
  ShowLastReports();
  if (progress_.steps() == 0) supervisor_.Dismiss();
}

void TrainRun::ShowReports() {
  std::vector<v1::Progress> reports = watch_->Take();
  for (v1::Progress& report : reports) {
    const bool trains = report.phase() == v1::Progress::PHASE_TRAINING;
    if (trains && trains_since_ == MonotonicTime::InfiniteFuture()) trains_since_ = clock_.Now();
    if (!resumed_step_.has_value()) resumed_step_ = report.resumed_step();
    recoveries_.Take(report);
    v1::Progress shown = report;
    shown.set_recoveries(recoveries_.recoveries());
    shown.set_lost_steps(recoveries_.lost_steps());
    printer_.Show(shown);
    progress_ = std::move(report);
  }
  // What a coordinator has reported that died since holds no more.
  if (reports.empty() || !listens_ || !supervisor_.coordinator_runs()) return;
  const v1::Progress::Phase phase = progress_.phase();
  supervisor_.NoteRunEnds(phase == v1::Progress::PHASE_STOPPING || phase == v1::Progress::PHASE_FINISHED ||
                          phase == v1::Progress::PHASE_FAILED);
}

void TrainRun::ShowLastReports() {
  if (watch_ == nullptr) return;
  watch_->AwaitEnd(kLastReports);
  ShowReports();
}

void TrainRun::MergeTrace() {
  if (options_.trace.empty()) return;
  printer_.Clear();
  const absl::Status merged = RunTrace(RealFileSystem(), options_.trace).Merge();
  printer_.Line(merged.ok() ? absl::StrCat("trace: ", options_.trace, " (ui.perfetto.dev shows it)")
                            : absl::StrCat("warning: ", merged.message()));
}

int TrainRun::Conclude() {
  announcement_.Read();
  const FailureDetails failure = announcement_.failure().value_or(FailureDetails{});
  RunEnd end = supervisor_.End(failure.pid);
  const std::string lost = WhatIsLost(RealFileSystem(), progress_, folder_.backbone());
  if (end.sentence.empty() && !lost.empty()) end = {1, lost};
  printer_.Clear();
  if (end.sentence.empty()) {
    PrintSummary();
  } else {
    PrintFailure(end.sentence, failure.cause);
  }
  return end.status;
}

void TrainRun::PrintFailure(const std::string& sentence, FailureCause cause) {
  PrintError(sentence);
  const std::string remedy = HowToResume(RealFileSystem(), config_.run.folder, cause);
  if (!remedy.empty()) PrintNote(remedy);
}

void TrainRun::PrintSummary() {
  v1::Progress progress = progress_;
  progress.set_resumed_step(resumed_step_.value_or(0));  // a later life of the coordinator went on from where it was
  const RunSummary summary = Summarize({.progress = progress,
                                        .recoveries = recoveries_,
                                        .interrupted = interrupted_,
                                        .trained_for = clock_.Now() - trains_since_,
                                        .backbone = folder_.backbone(),
                                        .best_backbone = folder_.best_backbone(),
                                        .logs_lost = !folder_.still_there()},
                                       config_);
  if (!summary.headline.empty()) printer_.Headline(summary.headline);
  for (const std::string& line : summary.lines) printer_.Line(line);
  if (summary.headline.empty() || IsComplete(progress_)) return;
  const std::string remedy = HowToResume(RealFileSystem(), config_.run.folder, FailureCause::kOther);
  if (!remedy.empty()) printer_.Line(remedy);
}

}  // namespace arcshard::cli
