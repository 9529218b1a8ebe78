#include "coordinator/coordinator_process.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/config/load_config.h"
#include "common/io/file_system.h"
#include "common/io/log.h"
#include "common/rpc/security/meter_tls.h"
#include "common/text/printable_text.h"
#include "coordinator/run_folder/lease_history_file.h"
#include "coordinator/run_folder/model_folder.h"
#include "coordinator/run_folder/run_config_file.h"

namespace arcshard::coordinator {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr absl::Duration kShutdownGrace = absl::Seconds(3);  // for streams to send their last messages

std::string LeaseHistoryPath(const RunConfig& config) { return absl::StrCat(config.run.folder, "/devices.json"); }

Run::Options OptionsOf(const StartPoint& start, const std::string& yaml, uint64_t incarnation,
                       LeaseHistory lease_history) {
  Run::Options options{.config = start.config,
                       .config_yaml = yaml,
                       .incarnation = incarnation,
                       .first_incarnation = start.first_incarnation};
  options.resume = start.resume;
  options.version = std::string(BuildVersion());
  options.lease_history = std::move(lease_history);
  return options;
}

// Null: the run writes no events.
std::unique_ptr<EventFile> EventsOf(const RunConfig& config, uint64_t incarnation) {
  if (!config.run.tensorboard) return nullptr;
  const std::string name = absl::StrFormat("%010d.%s.%d", incarnation, HostName(), getpid());
  return std::make_unique<EventFile>(absl::StrCat(config.run.folder, "/tensorboard"), name);
}

}  // namespace

absl::StatusOr<std::unique_ptr<CoordinatorProcess>> CoordinatorProcess::Create(const Options& options) {
  ASSIGN_OR_RETURN(const RunConfig given, LoadRunConfig(options.config, options.overrides));
  RETURN_IF_ERROR(Run::Validate(given));
  ASSIGN_OR_RETURN(std::unique_ptr<Incarnation> incarnation, Incarnation::Take(given.run.folder));
  ASSIGN_OR_RETURN(LeaseHistory lease_history, ReadLeaseHistory(LeaseHistoryPath(given)));
  ASSIGN_OR_RETURN(const StartPoint start, DecideStart(RealFileSystem(), given, options.start, incarnation->number()));
  const std::string yaml = ToYaml(start.config);
  std::fputs(PrintableText(yaml).c_str(), stdout);
  std::fflush(stdout);
  std::unique_ptr<CoordinatorProcess> process(
      new CoordinatorProcess(options, std::move(incarnation), start, yaml, std::move(lease_history)));
  RETURN_IF_ERROR(process->Listen(options));
  const bool of_an_earlier_run = start.resume.has_value() || !start.put_aside.empty();
  if (!of_an_earlier_run) RETURN_IF_ERROR(KeepRunConfig(RealFileSystem(), start.config.run.folder, yaml));
  return process;
}

CoordinatorProcess::CoordinatorProcess(const Options& options, std::unique_ptr<Incarnation> incarnation,
                                       const StartPoint& start, const std::string& yaml, LeaseHistory lease_history)
    : config_file_(options.config),
      incarnation_(std::move(incarnation)),
      start_(start),
      config_(start_.config),
      yaml_(yaml),
      restart_undo_(RealFileSystem(), config_.run.folder, start_.put_aside),
      tracer_(Tracer::Start({.path = options.trace, .process = "arcshard-coordinator", .clock = &clock_})),
      metrics_(&registry_, tracer_.get()),
      reporter_(&clock_, &metrics_, config_.cluster.shards + config_.cluster.workers),
      keeper_(RealFileSystem(), config_.run.folder,
              {.keep_last = config_.checkpoint.keep_last, .keep_every = config_.checkpoint.keep_every},
              [incarnation = incarnation_.get()] { return incarnation->Fence(); }),
      service_(OptionsOf(start_, yaml, incarnation_->number(), std::move(lease_history)), &clock_,
               {.progress = &reporter_,
                .keeper = &keeper_,
                .keep_lease_history = [this](const LeaseHistory& history) { KeepLeases(history); }},
               &metrics_) {
  metrics_.WatchDisk(config_.run.folder);
  metrics_.expected_members.With(kShardRole).Set(config_.cluster.shards);
  metrics_.expected_members.With(kWorkerRole).Set(config_.cluster.workers);
  metrics_.checkpoint_interval.Set(absl::ToDoubleSeconds(absl::Minutes(config_.checkpoint.every_minutes)));
}

void CoordinatorProcess::KeepLeases(const LeaseHistory& history) const {
  absl::Status status = incarnation_->Fence();
  if (status.ok()) status = WriteLeaseHistory(LeaseHistoryPath(config_), history);
  if (!status.ok()) LogError(status.message());  // a later life of the run leases without it
}

absl::Status CoordinatorProcess::Listen(const Options& options) {
  MeterTls(options.security, &metrics_);
  ASSIGN_OR_RETURN(metrics_server_, MetricsServer::Create(registry_, options.metrics_listen));
  ASSIGN_OR_RETURN(server_, RpcServer::Start(options.listen, {&service_},
                                             {.security = options.security,
                                              .max_message_bytes = kMaxParticipantMessageBytes,
                                              .known = service_.known_peers()}));
  return absl::OkStatus();
}

absl::Status CoordinatorProcess::RunUntilItEnds() {
  // Only now, because whoever reads it may stop the run, which needs the caller's signals to arrive here.
  LogInfo(absl::StrCat("listening on ", server_->address(), ", metrics on port ", metrics_server_->port(),
                       ", incarnation ", incarnation_->number()));
  keeper_.Start(
      [this](uint64_t step, const absl::Status& status) { service_.session()->CheckpointKept(step, status); });
  const absl::Status result = Loop();
  keeper_.Finish();  // completes a checkpoint whose parts are all there, however the run has ended
  const bool has_model = result.ok() || DetailsOf(result).cause == FailureCause::kMemberLeft;
  if (has_model && incarnation_->Fence().ok()) DeleteFilesOfEarlierModels();
  server_->Shutdown(kShutdownGrace);
  return result;
}

absl::Status CoordinatorProcess::Loop() {
  Session* const session = service_.session();
  MetricsLog log(absl::StrCat(config_.run.folder, "/metrics.jsonl"), &clock_,
                 {.config = std::filesystem::path(config_file_).filename().string(),
                  .version = std::string(BuildVersion()),
                  .incarnation = incarnation_->number(),
                  .shards = config_.cluster.shards,
                  .workers = config_.cluster.workers,
                  .host = HostName(),
                  .pid = getpid()},
                 EventsOf(config_, incarnation_->number()));
  std::optional<absl::Status> result;
  while (!result.has_value()) {
    session->Tick();
    result = session->AwaitEnd(kTick);
    // Just before the log is written: while this waited, the folder may have become another coordinator's.
    const absl::Status guarded = result.has_value() ? incarnation_->Fence() : GuardFolder();
    if (absl::IsFailedPrecondition(guarded)) {
      keeper_.Drop();
      restart_undo_.Keep();
      return guarded;
    }
    const RunStatus overview = session->Overview();
    ranges_ = overview.ranges;
    if (overview.began) NoteBegin();
    if (log.WantsToLook(overview)) log.Look(session->Status());
  }
  if (result->ok() && folder_lost_.ok()) folder_lost_ = incarnation_->Guard();
  return result->ok() ? folder_lost_ : *result;
}

absl::Status CoordinatorProcess::GuardFolder() {
  absl::Status status = keeper_.fenced_off();
  if (status.ok()) status = incarnation_->Guard();
  if (status.ok() || absl::IsFailedPrecondition(status)) return status;
  if (absl::IsDataLoss(status)) {
    if (!folder_lost_.ok()) return absl::OkStatus();  // it happened before, and the run is stopping already
    LogError(absl::StrCat(status.message(), "; the run stops, with a checkpoint and the model in a new folder"));
    folder_lost_ = Annotate(status, "ended with a checkpoint and the model in a new folder");
    service_.session()->RequestStop();
  } else if (!folder_unreadable_) {
    folder_unreadable_ = true;  // perhaps for a moment: the next checkpoint tells
    LogError(absl::StrCat(status.message(), "; the run continues"));
  }
  return absl::OkStatus();
}

void CoordinatorProcess::NoteBegin() {
  if (began_) return;
  began_ = true;
  restart_undo_.Keep();
  if (start_.put_aside.empty()) return;
  const absl::Status status = KeepRunConfig(RealFileSystem(), config_.run.folder, yaml_);
  if (!status.ok()) LogError(status.message());  // it is tried again with the first checkpoint
}

void CoordinatorProcess::DeleteFilesOfEarlierModels() const {
  const absl::StatusOr<std::vector<std::string>> deleted =
      DeleteOtherRanges(RealFileSystem(), config_.run.folder, ranges_);
  if (!deleted.ok()) {
    LogError(absl::StrCat("cannot delete files that are not part of the model: ", deleted.status().message()));
    return;
  }
  for (const std::string& path : *deleted)
    LogInfo(absl::StrCat("deleted a file that is not part of the model: ", path));
}

}  // namespace arcshard::coordinator
