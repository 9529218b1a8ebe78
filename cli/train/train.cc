#include "cli/train/train.h"

#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "cli/display/progress_line.h"
#include "cli/display/progress_printer.h"
#include "cli/display/terminal.h"
#include "cli/train/announcement.h"
#include "cli/train/input_check.h"
#include "cli/train/run_folder.h"
#include "cli/train/supervisor.h"
#include "cli/train/watch_client.h"
#include "common/base/clock.h"
#include "common/base/device_name.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/config/load_config.h"
#include "common/io/file_system.h"
#include "common/program/signal_queue.h"

namespace arcshard::cli {
namespace {

constexpr absl::Duration kLastReport = absl::Seconds(1);  // how long it may be on its way after the coordinator's end

void WriteOut(absl::string_view text) {
  std::fwrite(text.data(), 1, text.size(), stdout);
  std::fflush(stdout);
}

ProgressPrinter::Options PrinterOptions() {
  ProgressPrinter::Options options{.write = WriteOut, .terminal_width = nullptr};
  if (isatty(STDOUT_FILENO)) options.terminal_width = [] { return TerminalWidth(STDOUT_FILENO); };
  options.colours = HasColours(STDOUT_FILENO);
  return options;
}

absl::StatusOr<RunConfig> LoadChecked(const TrainOptions& options) {
  for (const auto* devices : {&options.shard_devices, &options.worker_devices}) {
    for (const std::string& device : *devices) RETURN_IF_ERROR(ParseDeviceName(device).status());
  }
  ASSIGN_OR_RETURN(RunConfig config, LoadRunConfig(options.config, options.overrides));
  RETURN_IF_ERROR(Annotate(CheckInputs(config, !options.resume.empty()), options.config));
  return config;
}

// A run that is to go on, as its folder tells: the configuration that its last coordinator has left there, wherever the
// folder lies now.
absl::StatusOr<TrainOptions> Resolved(TrainOptions options) {
  if (options.resume.empty()) return options;
  options.config = absl::StrCat(options.resume, "/config.yaml");
  std::error_code error;
  if (!std::filesystem::is_regular_file(options.config, error)) {
    return absl::NotFoundError(absl::StrCat(options.resume, ": there is no run to go on with: it has no config.yaml"));
  }
  options.overrides.push_back(absl::StrCat("run.folder=", options.resume));
  return options;
}

// As a shell takes it for one word.
std::string Quoted(const std::string& path) {
  const auto plain = [](char c) { return absl::ascii_isalnum(c) || absl::StrContains("/._-+=:,@%", c); };
  if (!path.empty() && std::all_of(path.begin(), path.end(), plain)) return path;
  return absl::StrCat("'", absl::StrReplaceAll(path, {{"'", "'\\''"}}), "'");
}

// Libraries take their number of threads from here, as they are loaded, and how they wait for each other: by sleeping,
// since the processes of a run share this machine's cores. Threads that wait by spinning take them from those that are
// waited for.
std::vector<std::string> ThreadEnvironment(int threads) {
  std::vector<std::string> environment = {absl::StrCat("OMP_NUM_THREADS=", threads),
                                          absl::StrCat("MKL_NUM_THREADS=", threads),
                                          // What is on this machine alone needs no TLS, whatever is set around it.
                                          "ARCSHARD_TLS_CA=", "ARCSHARD_TLS_CERT=", "ARCSHARD_TLS_KEY="};
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) environment.push_back("OMP_WAIT_POLICY=passive");
  return environment;
}

std::string DeviceOf(const std::vector<std::string>& devices, uint32_t index) {
  return devices.empty() ? "cpu" : devices[index % devices.size()];
}

// Whether the GPU that process `index` of `count` gets is handed out to another one too.
bool IsShared(const std::vector<std::string>& devices, uint32_t count, uint32_t index) {
  const std::string device = DeviceOf(devices, index);
  if (device == "cpu" || device == "cuda") return false;
  for (uint32_t other = 0; other < count; ++other) {
    if (other != index && DeviceOf(devices, other) == device) return true;
  }
  return false;
}

class TrainRun {
 public:
  TrainRun(const TrainOptions& options, const RunConfig& config, RunFolder folder, std::unique_ptr<SignalQueue> signals)
      : options_(options),
        config_(config),
        folder_(std::move(folder)),
        signals_(std::move(signals)),
        printer_(PrinterOptions(), &clock_),
        supervisor_(Supervisor::Options(), &clock_) {}

  absl::StatusOr<int> Run() {
    printer_.Line(absl::StrCat("run folder: ", config_.run.folder, " (its config.yaml, logs/)"));
    RETURN_IF_ERROR(StartCoordinator());
    while (!supervisor_.all_ended()) {
      AwaitEvent();
      for (const int signal : signals_->Take()) {
        if (signal != SIGCHLD) Interrupt();
      }
      if (address_.empty()) RETURN_IF_ERROR(ReadAddress());
      if (watch_ != nullptr) ShowReports();
      supervisor_.Update();
      if (interrupted_ && supervisor_.coordinator_ended_in_order()) DismissIfNothingBegan();
    }
    ShowLastReports();
    return Conclude();
  }

 private:
  absl::Status StartCoordinator() {
    ASSIGN_OR_RETURN(const FileDescriptor to_announce, announcement_.Open());
    address_deadline_ = clock_.Now() + config_.cluster.connect_timeout;
    if (options_.allow_older) address_deadline_ = absl::InfiniteFuture();  // it reads whole checkpoints first

    Process::Options process;
    process.arguments = {"--config",    options_.config, "--listen",
                         "127.0.0.1:0", "--announce-fd", absl::StrCat(to_announce.get())};
    for (const std::string& override : options_.overrides) {
      process.arguments.insert(process.arguments.end(), {"--set", override});
    }
    if (!options_.resume.empty()) process.arguments.insert(process.arguments.end(), {"--resume", "yes"});
    if (options_.restart) process.arguments.push_back("--restart");
    if (options_.allow_older) process.arguments.push_back("--allow-older");
    process.environment = ThreadEnvironment(1);
    process.inherit_fd = to_announce.get();
    return Start(Role::kCoordinator, 0, std::move(process));
  }

  absl::Status StartOthers() {
    for (uint32_t i = 0; i < config_.cluster.shards; ++i) {
      Process::Options process;
      process.arguments = {"--coordinator", address_,
                           "--device",      DeviceOf(options_.shard_devices, i),
                           "--name",        absl::StrCat("shard-", i)};
      if (IsShared(options_.shard_devices, config_.cluster.shards, i)) process.arguments.push_back("--share-device");
      process.environment = ThreadEnvironment(config_.cluster.shard_threads);
      RETURN_IF_ERROR(Start(Role::kShard, i, std::move(process)));
    }
    for (uint32_t i = 0; i < config_.cluster.workers; ++i) {
      Process::Options process;
      process.arguments = {"--coordinator", address_, "--device", DeviceOf(options_.worker_devices, i)};
      process.environment = ThreadEnvironment(config_.cluster.worker_threads);
      RETURN_IF_ERROR(Start(Role::kWorker, i, std::move(process)));
    }
    return absl::OkStatus();
  }

  absl::Status Start(Role role, uint32_t index, Process::Options process) {
    process.program = absl::StrCat(options_.bin_folder, "/", ProgramOf(role));
    process.log = folder_.LogOf(role, index);
    ASSIGN_OR_RETURN(std::unique_ptr<Process> started, Process::Start(process));
    supervisor_.Add(role, index, std::move(started), process.log);
    return folder_.List(address_, supervisor_.running());
  }

  // Once the coordinator listens the others can start.
  absl::Status ReadAddress() {
    announcement_.Read();
    address_ = announcement_.address();
    if (address_.empty()) {
      // A coordinator that has closed its end failed: its own end, in a moment, says why.
      if (announcement_.fd() < 0 || clock_.Now() < address_deadline_) return absl::OkStatus();
      return absl::DeadlineExceededError(
          absl::StrCat("waited ", absl::FormatDuration(config_.cluster.connect_timeout),
                       " (cluster.connect_timeout) for arcshard-coordinator to listen; its log is ",
                       folder_.LogOf(Role::kCoordinator, 0)));
    }
    if (interrupted_) {  // before it could take SIGTERM for a request to stop
      supervisor_.Stop();
      return absl::OkStatus();
    }
    RETURN_IF_ERROR(StartOthers());
    ASSIGN_OR_RETURN(watch_, WatchClient::Start(address_));
    return absl::OkStatus();
  }

  void Interrupt() {
    if (!interrupted_ && !supervisor_.failing()) {
      printer_.Line("stopping after the current step, with a checkpoint (again: at once)");
      interrupted_ = true;
      if (!address_.empty()) supervisor_.Stop();
      return;
    }
    supervisor_.StopAtOnce();
  }

  // Stopped while it gathered its members: some still wait for a coordinator that has gone.
  void DismissIfNothingBegan() {
    ShowLastReports();
    if (progress_.steps() == 0) supervisor_.Dismiss();
  }

  void AwaitEvent() {
    std::vector<pollfd> fds = {{signals_->fd(), POLLIN, 0}};
    absl::Time deadline = supervisor_.deadline();
    if (address_.empty() && announcement_.fd() >= 0) {
      fds.push_back({announcement_.fd(), POLLIN, 0});
      deadline = std::min(deadline, address_deadline_);
    }
    if (watch_ != nullptr) fds.push_back({watch_->fd(), POLLIN, 0});
    const timespec timeout = absl::ToTimespec(std::max(deadline - clock_.Now(), absl::ZeroDuration()));
    ppoll(fds.data(), fds.size(), deadline == absl::InfiniteFuture() ? nullptr : &timeout, nullptr);
  }

  // Once the coordinator has ended.
  void ShowLastReports() {
    if (watch_ == nullptr) return;
    watch_->AwaitEnd(kLastReport);
    ShowReports();
  }

  void ShowReports() {
    for (v1::Progress& report : watch_->Take()) {
      const bool trains = report.phase() == v1::Progress::PHASE_TRAINING;
      if (trains && trains_since_ == absl::InfiniteFuture()) trains_since_ = clock_.Now();
      printer_.Show(report);
      progress_ = std::move(report);
    }
  }

  int Conclude() {
    announcement_.Read();
    const FailureDetails failure = announcement_.failure().value_or(FailureDetails{});
    const RunEnd end = supervisor_.End(failure.pid);
    printer_.Clear();
    if (!end.sentence.empty()) {
      std::fprintf(stderr, "arcshard: %s %s\n", Paint(HasColours(STDERR_FILENO), Ink::kBad, "error:").c_str(),
                   end.sentence.c_str());
      if (const std::string way = HowToGoOn(failure.cause); !way.empty())
        std::fprintf(stderr, "arcshard: %s\n", way.c_str());
      return end.status;
    }
    const std::string steps = absl::StrFormat("%d of %d steps (%.2f of %g epochs)", progress_.step(), progress_.steps(),
                                              progress_.epoch(), progress_.epochs());
    if (progress_.step() == progress_.resumed_step() &&
        (progress_.steps() == 0 || progress_.step() < progress_.steps())) {
      printer_.Line(progress_.step() == 0 ? "stopped before the first step"
                                          : absl::StrCat("stopped before the first step after ", progress_.step()));
      return end.status;
    }
    const bool complete = progress_.step() == progress_.steps();
    if (complete && progress_.step() == progress_.resumed_step()) {
      printer_.Headline(absl::StrCat("nothing was left to train: all ", steps, " are done"));
    } else {
      printer_.Headline(absl::StrCat(interrupted_ ? "stopped in order: " : "", "trained ", steps, " in ",
                                     WholeSeconds(clock_.Now() - trains_since_)));
    }
    for (const std::string& line : VerificationLines(progress_)) printer_.Line(line);
    printer_.Line(absl::StrCat("backbone: ", folder_.backbone()));
    if (config_.verification.keep_best && progress_.best_step() < progress_.verification_step()) {
      printer_.Line(absl::StrFormat("best of all verifications: %s (step %d, accuracy %.4f)", folder_.best_backbone(),
                                    progress_.best_step(), progress_.best_accuracy()));
    }
    printer_.Line(absl::StrCat("a page about this run: arcshard report ", Quoted(config_.run.folder)));
    if (const std::string way = HowToGoOn(FailureCause::kOther); !complete && !way.empty()) printer_.Line(way);
    return end.status;
  }

  // Once all have ended, `cause` why. Empty: there is no complete checkpoint.
  std::string HowToGoOn(FailureCause cause) const {
    const auto complete = ListCheckpoints(RealFileSystem(), config_.run.folder);
    if (!complete.ok() || complete->empty()) return "";
    if (cause == FailureCause::kCheckpointUnreadable) {
      return absl::StrCat("from the newest checkpoint that is whole it goes on with: arcshard train --resume ",
                          Quoted(config_.run.folder), " --allow-older");
    }
    return absl::StrCat("the newest checkpoint is of step ", complete->front().step,
                        "; it goes on with: arcshard train --resume ", Quoted(config_.run.folder));
  }

  const TrainOptions options_;
  const RunConfig config_;
  const SystemClock clock_;
  RunFolder folder_;
  const std::unique_ptr<SignalQueue> signals_;
  ProgressPrinter printer_;
  Supervisor supervisor_;
  Announcement announcement_;
  absl::Time address_deadline_;
  std::string address_;  // of the coordinator, host:port; empty: not known yet
  bool interrupted_ = false;
  std::unique_ptr<WatchClient> watch_;
  v1::Progress progress_;  // the last report
  absl::Time trains_since_ = absl::InfiniteFuture();
};

}  // namespace

absl::Status DryRun(const TrainOptions& given) {
  ASSIGN_OR_RETURN(const TrainOptions options, Resolved(given));
  ASSIGN_OR_RETURN(const RunConfig config, LoadChecked(options));
  WriteOut(ToYaml(config));
  return absl::OkStatus();
}

absl::StatusOr<int> Train(const TrainOptions& given) {
  ASSIGN_OR_RETURN(const TrainOptions options, Resolved(given));
  ASSIGN_OR_RETURN(const RunConfig config, LoadChecked(options));
  ASSIGN_OR_RETURN(RunFolder folder, RunFolder::Take(config.run.folder));
  ASSIGN_OR_RETURN(std::unique_ptr<SignalQueue> signals, SignalQueue::Create({SIGINT, SIGTERM, SIGCHLD}));
  return TrainRun(options, config, std::move(folder), std::move(signals)).Run();
}

}  // namespace arcshard::cli
