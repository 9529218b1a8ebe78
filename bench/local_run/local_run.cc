#include "bench/local_run/local_run.h"

#include <poll.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <thread>
#include <utility>

#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "bench/local_run/scrape.h"
#include "bench/measure.h"
#include "cli/checkpoint/take_checkpoint.h"
#include "cli/train/run_processes.h"
#include "cli/train/run_trace.h"
#include "common/base/status_macros.h"
#include "common/config/load_config.h"
#include "common/io/file.h"
#include "common/io/file_system.h"
#include "nlohmann/json.hpp"

namespace arcshard::bench {
namespace {

constexpr absl::Duration kPatience = absl::Minutes(10);
constexpr std::chrono::milliseconds kPoll(20);

// What follows the last `mark` in `text`, up to the end of the line; empty: there is no mark.
std::string After(const std::string& text, const std::string& mark) {
  const size_t at = text.rfind(mark);
  if (at == std::string::npos) return "";
  const size_t begin = at + mark.size();
  return text.substr(begin, text.find('\n', begin) - begin);
}

// When the last line of the log with `text` was written.
absl::StatusOr<absl::Time> TimeOfLine(const std::string& log, const std::string& text) {
  const size_t at = log.rfind(text);
  if (at == std::string::npos) return absl::InternalError(absl::StrCat("no line '", text, "' in the log:\n", log));
  const size_t before = log.rfind('\n', at);
  const size_t begin = before == std::string::npos ? 0 : before + 1;
  const std::vector<std::string> words = absl::StrSplit(log.substr(begin, at - begin), ' ');
  absl::Time time;
  std::string error;
  const bool parsed = words.size() > 1 && absl::ParseTime("%Y-%m-%d %H:%M:%E*S", absl::StrCat(words[0], " ", words[1]),
                                                          absl::LocalTimeZone(), &time, &error);
  return parsed ? absl::StatusOr<absl::Time>(time)
                : absl::InternalError(absl::StrCat("a log's line has no time: ", text));
}

}  // namespace

LocalRun::LocalRun(const Options& options) : options_(options) {
  train_.config = absl::StrCat(options.folder, "/run.yaml");
  train_.overrides = options.overrides;
  shards_.resize(options.shards);
  workers_.resize(options.workers);
}

LocalRun::~LocalRun() {
  KillAll();
  std::error_code ignored;
  std::filesystem::remove_all(options_.folder, ignored);
}

void LocalRun::KillAll() {
  watch_.reset();
  for (std::vector<Member>* members : {&workers_, &shards_}) members->clear();
  spare_.reset();
  coordinator_.process.reset();
}

absl::StatusOr<std::unique_ptr<LocalRun>> LocalRun::Start(const Options& options) {
  auto run = absl::WrapUnique(new LocalRun(options));
  RETURN_IF_ERROR(run->StartAll());
  return run;
}

absl::Status LocalRun::StartAll() {
  std::error_code ignored;
  std::filesystem::remove_all(options_.folder, ignored);
  RETURN_IF_ERROR(CreateFolders(absl::StrCat(options_.folder, "/logs")));
  RETURN_IF_ERROR(
      WriteFileAtomically(train_.config, absl::StrCat("run: {folder: ", options_.folder, "/run}\n", options_.yaml)));
  ASSIGN_OR_RETURN(config_, LoadRunConfig(train_.config, options_.overrides));
  if (!options_.trace.empty()) RETURN_IF_ERROR(cli::RunTrace(RealFileSystem(), options_.trace).Prepare());
  RETURN_IF_ERROR(LaunchCoordinator(/*again=*/false));
  for (Member& shard : shards_) RETURN_IF_ERROR(LaunchShard(/*spare=*/false, &shard));
  for (uint32_t i = 0; i < options_.workers; ++i) {
    workers_[i].name = absl::StrCat("worker-", i);
    RETURN_IF_ERROR(Launch("arcshard-worker", cli::WorkerProcess(train_, config_, address_, i), &workers_[i]));
  }
  return Await([](const v1::Progress& report) { return report.step() > 0; }).status();
}

std::string LocalRun::LogOf(const Member& member) const {
  return absl::StrCat(options_.folder, "/logs/", member.name, ".log");
}

absl::Status LocalRun::Launch(const std::string& program, cli::Process::Options process, Member* member) {
  process.program = absl::StrCat(options_.programs, "/", program);
  process.log = LogOf(*member);
  process.why = "the benchmark has killed it";
  if (!options_.trace.empty()) {
    process.arguments.insert(process.arguments.end(), {"--trace", cli::RunTrace::PartOf(options_.trace, member->name)});
  }
  ASSIGN_OR_RETURN(member->process, cli::Process::Start(process));
  return absl::OkStatus();
}

absl::Status LocalRun::LaunchShard(bool spare, Member* member) {
  const uint32_t number = started_shards_++;
  member->name = absl::StrCat("shard-", number);
  return Launch("arcshard-shard",
                spare ? cli::LaterShardProcess(train_, config_, address_, number)
                      : cli::ShardProcess(train_, config_, address_, number),
                member);
}

absl::Status LocalRun::LaunchCoordinator(bool again) {
  coordinator_.name = "coordinator";
  {
    if (!again) {
      ASSIGN_OR_RETURN(port_, PortReservation::Take());
    }
    ASSIGN_OR_RETURN(const FileDescriptor to, announcement_.Open());
    RETURN_IF_ERROR(Launch("arcshard-coordinator",
                           again ? cli::LaterCoordinatorProcess(train_.config, address_, to.get())
                                 : cli::CoordinatorProcess(train_, port_->address(), to.get()),
                           &coordinator_));
  }
  if (!announcement_.AwaitAddress(clock_, kPatience)) {
    return absl::UnavailableError(absl::StrCat("the coordinator does not start; its log is ", LogOf(coordinator_)));
  }
  address_ = announcement_.address();
  ASSIGN_OR_RETURN(watch_, cli::WatchClient::Start(address_));
  latest_.Clear();
  checkpoints_ = 0;
  return absl::OkStatus();
}

// --- Waiting

absl::StatusOr<v1::Progress> LocalRun::Await(absl::FunctionRef<bool(const v1::Progress&)> wanted) {
  const MonotonicTime deadline = clock_.Now() + kPatience;
  while (true) {
    std::vector<v1::Progress> reports = watch_->Take();
    for (v1::Progress& report : reports) {
      if (report.checkpoint_step() > latest_.checkpoint_step()) ++checkpoints_;
      latest_ = std::move(report);
      if (latest_.phase() == v1::Progress::PHASE_FAILED) return absl::AbortedError(latest_.waiting_for());
      if (wanted(latest_)) return latest_;
    }
    if (!reports.empty()) continue;
    RETURN_IF_ERROR(CheckAlive());
    if (watch_->ended()) {
      return absl::UnavailableError(absl::StrCat("the coordinator has ended; its log is ", LogOf(coordinator_)));
    }
    if (clock_.Now() > deadline) {
      return absl::DeadlineExceededError(absl::StrCat("waited ", absl::FormatDuration(kPatience), " after step ",
                                                      latest_.step(), "; the logs are in ", options_.folder, "/logs"));
    }
    pollfd readable = {watch_->fd(), POLLIN, 0};
    poll(&readable, 1, 1000);
  }
}

absl::StatusOr<absl::Duration> LocalRun::AwaitDecision(MonotonicTime since, uint64_t recoveries) {
  ASSIGN_OR_RETURN(const v1::Progress recovered,
                   Await([&](const v1::Progress& report) { return report.recoveries() > recoveries; }));
  if (recovered.lost_steps() > 0) return absl::InternalError(recovered.last_recovery());
  RETURN_IF_ERROR(Await([&](const v1::Progress& report) { return report.step() > recovered.step(); }).status());
  return clock_.Now() - since;
}

absl::StatusOr<absl::Duration> LocalRun::AwaitSteps(uint64_t steps) {
  ASSIGN_OR_RETURN(const v1::Progress first,
                   Await([step = latest_.step()](const v1::Progress& report) { return report.step() > step; }));
  const MonotonicTime begin = clock_.Now();
  RETURN_IF_ERROR(Await([&](const v1::Progress& report) { return report.step() >= first.step() + steps; }).status());
  return clock_.Now() - begin;
}

template <typename Holds>
absl::Status LocalRun::Poll(const std::string& what, const Holds& holds) const {
  const MonotonicTime deadline = clock_.Now() + kPatience;
  while (!holds()) {
    if (clock_.Now() > deadline) return absl::DeadlineExceededError(absl::StrCat("waited in vain for ", what));
    std::this_thread::sleep_for(kPoll);
  }
  return absl::OkStatus();
}

// --- Faults

absl::StatusOr<absl::Duration> LocalRun::KillWorker(uint32_t index) {
  const uint64_t recoveries = latest_.recoveries();
  const MonotonicTime now = clock_.Now();
  workers_[index].process.reset();
  RETURN_IF_ERROR(Launch("arcshard-worker", cli::WorkerProcess(train_, config_, address_, index), &workers_[index]));
  return AwaitDecision(now, recoveries);
}

absl::StatusOr<absl::Duration> LocalRun::KillCoordinator() {
  const MonotonicTime now = clock_.Now();
  coordinator_.process.reset();
  RETURN_IF_ERROR(LaunchCoordinator(/*again=*/true));
  return AwaitDecision(now, 0);
}

absl::StatusOr<absl::Duration> LocalRun::KillShard(uint32_t index) {
  if (!spare_.has_value()) return absl::FailedPreconditionError("there is no spare");
  const uint64_t recoveries = latest_.recoveries();
  const MonotonicTime now = clock_.Now();
  shards_[index].process.reset();
  shards_[index] = *std::exchange(spare_, std::nullopt);
  return AwaitDecision(now, recoveries);
}

absl::StatusOr<absl::Duration> LocalRun::Hang(uint32_t index) {
  const uint64_t recoveries = latest_.recoveries();
  const MonotonicTime now = clock_.Now();
  workers_[index].process->Signal(SIGSTOP);
  return AwaitDecision(now, recoveries);
}

absl::Status LocalRun::Continue(uint32_t index) {
  workers_[index].process->Signal(SIGCONT);
  RETURN_IF_ERROR(Poll("a view with all workers", [this] {
    const std::string text = ReadFile(absl::StrCat(config_.run.folder, "/metrics.jsonl")).value_or("");
    const auto view = nlohmann::json::parse(absl::StrCat("{\"kind\":\"view\"", After(text, "{\"kind\":\"view\"")),
                                            nullptr, /*allow_exceptions=*/false);
    return !view.is_discarded() && view["members"].size() == options_.shards + options_.workers;
  }));
  return AwaitSteps(1).status();
}

absl::Status LocalRun::AddSpare() {
  const auto waiting = [this] {
    const std::string text = ReadFile(LogOf(coordinator_)).value_or("");
    const std::vector<std::string> parts = absl::StrSplit(text, "waits as a spare");
    return parts.size() - 1;
  };
  const size_t before = waiting();
  spare_.emplace();
  RETURN_IF_ERROR(LaunchShard(/*spare=*/true, &*spare_));
  return Poll("the spare", [&] { return waiting() > before; });
}

absl::Status LocalRun::TakeCheckpoint() { return cli::TakeCheckpoint(address_, Security()).status(); }

// --- What processes say

absl::StatusOr<double> LocalRun::PredictedReplaySeconds(uint32_t index) const {
  const std::string log = ReadFile(LogOf(shards_[index])).value_or("");
  return ScrapeGauge(After(log, "metrics on port "), "arcshard_replay_seconds");
}

absl::StatusOr<LocalRun::Rebuild> LocalRun::LastRebuild(uint32_t index) const {
  const std::string log = ReadFile(LogOf(shards_[index])).value_or("");
  ASSIGN_OR_RETURN(const absl::Time begin, TimeOfLine(log, "registered, waiting for the other members"));
  ASSIGN_OR_RETURN(const absl::Time loaded, TimeOfLine(log, "restored the classes"));
  ASSIGN_OR_RETURN(const absl::Time end, TimeOfLine(log, "brought its classes to the state after step"));
  Rebuild rebuild{absl::ToDoubleSeconds(loaded - begin), absl::ToDoubleSeconds(end - loaded)};
  std::istringstream(After(log, ", with ")) >> rebuild.steps;
  return rebuild;
}

absl::Status LocalRun::CheckAlive() const {
  for (const Member* const member : All()) {
    const std::optional<cli::ProcessExit> exit = member->process->Poll();
    if (!exit.has_value()) continue;
    return absl::UnavailableError(absl::StrCat(member->name, " ", cli::Describe(*exit),
                                               ", and nobody had killed it; its log is ", LogOf(*member)));
  }
  return absl::OkStatus();
}

std::vector<const LocalRun::Member*> LocalRun::All() const {
  std::vector<const Member*> all = {&coordinator_};
  for (const Member& shard : shards_) all.push_back(&shard);
  for (const Member& worker : workers_) all.push_back(&worker);
  return all;
}

void LocalRun::SignalAll(int signal) {
  for (const Member* const member : All()) member->process->Signal(signal);
}
void LocalRun::Pause() { SignalAll(SIGSTOP); }
void LocalRun::Resume() {
  SignalAll(SIGCONT);
  if (watch_->ended()) watch_->Reopen();
}

absl::StatusOr<std::vector<double>> LocalRun::Metrics(const std::string& name) const {
  std::vector<double> values;
  for (const std::vector<Member>* const members : {&shards_, &workers_}) {
    for (const Member& member : *members) {
      const std::string log = ReadFile(LogOf(member)).value_or("");
      ASSIGN_OR_RETURN(values.emplace_back(), ScrapeGauge(After(log, "metrics on port "), name));
    }
  }
  return values;
}

std::vector<std::pair<std::string, pid_t>> LocalRun::Processes() const {
  std::vector<std::pair<std::string, pid_t>> processes;
  for (const Member* const member : All()) processes.emplace_back(member->name, member->process->pid());
  return processes;
}

absl::Status LocalRun::MergeTrace() {
  KillAll();
  return cli::RunTrace(RealFileSystem(), options_.trace).Merge();
}

double LocalRun::ProcessorSeconds() const {
  double seconds = 0.0;
  for (const Member* const member : All()) seconds += bench::ProcessorSeconds(member->process->pid());
  return seconds;
}

}  // namespace arcshard::bench
