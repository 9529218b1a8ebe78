#include "shard_server/shard_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/config/load_config.h"
#include "common/io/log.h"
#include "common/metrics/process_stats.h"
#include "common/rpc/host_address.h"
#include "shard_server/checkpoint/class_centers.h"
#include "shard_server/checkpoint/restore_rows.h"
#include "shard_server/device_request.h"
#include "shard_server/head_from_config.h"
#include "shard_server/metered_head.h"

namespace arcshard::shard {
namespace {

constexpr absl::Duration kFailureGrace = absl::Seconds(2);  // for the coordinator to hear of a failure

}  // namespace

ShardProcess::ShardProcess(Options options, ShardMetrics* metrics, const Clock* clock)
    : options_(std::move(options)),
      metrics_(metrics),
      clock_(clock),
      device_(options_.device),
      capacity_bytes_(options_.capacity_bytes),
      service_(metrics) {}

ShardProcess::~ShardProcess() {
  // Whoever calls goes before what it calls: workers' streams, the executor, what writes, the coordinator's stream.
  server_.reset();
  if (checkpointer_ != nullptr) checkpointer_->GiveUp();  // the executor's update may wait for the disk
  executor_.reset();
  checkpointer_.reset();
  participant_.reset();
}

absl::Status ShardProcess::Run() {
  client::ParticipantOptions attend;
  if (options_.device.cuda) RETURN_IF_ERROR(AskForDevice(&attend.registration));
  ASSIGN_OR_RETURN(server_, RpcServer::Start(options_.listen, {&service_}, options_.security));
  ASSIGN_OR_RETURN(const std::string address, AdvertisedAddress(options_.advertise, server_->address(),
                                                                options_.coordinator, options_.connect_timeout));
  LogInfo(absl::StrCat("listening on ", server_->address(), ", for workers ", address,
                       ", waiting for the coordinator at ", options_.coordinator));
  attend.coordinator = options_.coordinator;
  attend.security = options_.security;
  attend.connect_timeout = options_.connect_timeout;
  attend.metrics = metrics_;
  attend.registration.role = Role::kShard;
  attend.registration.address = address;
  attend.registration.capacity_bytes = static_cast<uint64_t>(options_.capacity_bytes);
  attend.stats = [this] {
    ParticipantStats stats = StatsOf(metrics_, {kBegin, kPass1, kPass2});
    stats.held_bytes = static_cast<uint64_t>(metrics_->bytes.Value());
    return stats;
  };
  ASSIGN_OR_RETURN(participant_, client::Participant::Attend(std::move(attend), this));
  {
    MutexLock lock(&mutex_);
    attending_ = true;
  }
  absl::Status status = DoTasks();
  if (!status.ok()) TellFailure(status);
  return status;
}

absl::Status ShardProcess::AskForDevice(Registration* registration) {
  ASSIGN_OR_RETURN(gpus_, options_.list_gpus());
  const std::string replica = options_.name.empty() ? HostName() : options_.name;
  ASSIGN_OR_RETURN(registration->device_request,
                   RequestDevice(options_.device, gpus_, replica, options_.share_device, options_.capacity_bytes));
  return absl::OkStatus();
}

absl::Status ShardProcess::TakeDevice(absl::string_view uuid) {
  ASSIGN_OR_RETURN(const head::GpuInfo leased, LeasedGpu(uuid, gpus_));
  device_.index = leased.index;
  ASSIGN_OR_RETURN(const DeviceRequest alone,
                   RequestDevice({.cuda = true, .index = leased.index}, gpus_, "", false, options_.capacity_bytes));
  capacity_bytes_ = static_cast<int64_t>(alone.devices.front().capacity_bytes);
  LogInfo(absl::StrCat("computes on ", ToString(device_), ", which is ", leased.uuid, " (", leased.name, ")"));
  MutexLock lock(&mutex_);
  gpu_ = leased.index;
  return absl::OkStatus();
}

std::optional<int> ShardProcess::gpu() {
  MutexLock lock(&mutex_);
  return gpu_;
}

bool ShardProcess::Stop(const absl::Status& why) {
  {
    MutexLock lock(&mutex_);
    if (!attending_) return false;
  }
  Post([why] { return why; });
  return true;
}

void ShardProcess::Post(Task task) {
  MutexLock lock(&mutex_);
  tasks_.push_back(std::move(task));
  changed_.NotifyAll();
}

absl::Status ShardProcess::DoTasks() {
  for (;;) {
    Task task;
    {
      MutexLock lock(&mutex_);
      while (tasks_.empty() && !closed_) changed_.Wait(&mutex_);
      if (closed_) {  // what is still to do has no meaning any more
        if (!closed_with_.ok() || finished_) return closed_with_;
        return absl::UnavailableError("the coordinator left before the end of the run");
      }
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    RETURN_IF_ERROR(task());
  }
}

absl::Status ShardProcess::Enter(const Welcome& welcome) {
  if (state_ != nullptr) return absl::InvalidArgumentError("the coordinator sent a second welcome");
  id_ = welcome.id;
  SetProcessName(absl::StrCat("arcshard-shard ", id_));
  ASSIGN_OR_RETURN(config_, ParseRunConfig(welcome.config_yaml, "the coordinator's configuration", {}));
  if (device_.cuda) RETURN_IF_ERROR(TakeDevice(welcome.device));
  ShardState::Options options;
  options.id = id_;
  options.dim = config_.backbone.embedding_size;
  options.batch_size = config_.data.batch_size;
  options.max_in_flight = config_.cluster.max_in_flight;
  options.deterministic = config_.run.deterministic;
  metrics_->WatchDisk(config_.run.folder);
  state_ = std::make_unique<ShardState>(options, static_cast<ShardOutput*>(this));
  service_.Attach(state_.get());
  LogInfo("registered, waiting for the other members of the run");
  return absl::OkStatus();
}

absl::Status ShardProcess::HoldRange(const ViewAnnouncement& view) {
  ClassRange range;  // of a shard that the view does not name: JoinView refuses it
  for (const ShardMember& shard : view.shards) {
    if (shard.id == id_) range = shard.range;
  }
  const head::HeadOptions options = HeadOptionsOf(config_, view.num_classes, range, device_);
  ASSIGN_OR_RETURN(std::unique_ptr<head::Head> head, head::Head::Create(options, capacity_bytes_));
  const std::string holds = absl::StrCat("holds classes [", range.begin, ", ", range.end, ") of ", view.num_classes);
  if (!view.checkpoint.empty()) {
    RETURN_IF_ERROR(BlameCheckpoint(RestoreRows(options_.files, view.checkpoint, view.last_decided_step, head.get())));
    LogInfo(absl::StrCat(holds, ", as they were after step ", view.last_decided_step, " by ", view.checkpoint));
  } else {
    RETURN_IF_ERROR(InitRows(options_.files, config_.init_from, head.get()));
    if (!config_.head.init.empty()) RETURN_IF_ERROR(LoadClassCenters(config_.head.init, head.get()));
    LogInfo(holds);
  }
  head_ = std::make_unique<MeteredHead>(std::move(head), metrics_, clock_);
  checkpointer_ = std::make_unique<ShardCheckpointer>(
      ShardCheckpointer::Options{config_.run.folder, config_.checkpoint.buffer_mb << 20}, head_.get(), options_.files,
      metrics_, clock_, [this](const CheckpointReport& report) { participant_->Send(report); });
  metrics_->classes.Set(static_cast<double>(range.size()));
  metrics_->bytes.Set(static_cast<double>(head::Head::RequiredBytes(options)));
  return absl::OkStatus();
}

absl::Status ShardProcess::Join(const ViewAnnouncement& view) {
  if (state_ == nullptr) return absl::InvalidArgumentError("the coordinator announced a view before its welcome");
  if (head_ == nullptr) RETURN_IF_ERROR(HoldRange(view));
  RETURN_IF_ERROR(service_.Admit(view));
  RETURN_IF_ERROR(state_->JoinView(view, head_.get()));
  view_ = view.view;
  metrics_->incarnation.Set(static_cast<double>(view_.incarnation));
  metrics_->view.Set(static_cast<double>(view_.counter));
  if (executor_ == nullptr) {
    executor_ =
        std::make_unique<Executor>(state_.get(), [this](const absl::Status& why) { Post([why] { return why; }); });
  }
  participant_->Send(JoinedReport{view.view});
  return absl::OkStatus();
}

absl::Status ShardProcess::Follow(const Next& next) {
  if (next.action != NextAction::kStop) return absl::OkStatus();
  executor_->Finish();
  checkpointer_->Finish();  // the last one's report comes before Finished
  RETURN_IF_ERROR(SaveClassCenters(absl::StrCat(config_.run.folder, "/model"), *head_));
  {
    MutexLock lock(&mutex_);
    finished_ = true;
  }
  participant_->Send(FinishedReport{});
  return absl::OkStatus();
}

void ShardProcess::TellFailure(const absl::Status& status) {
  {
    MutexLock lock(&mutex_);
    if (closed_) return;  // it is the coordinator who ended the run
  }
  participant_->Send(FailureReport::Of(status));
  const absl::Time until = absl::Now() + kFailureGrace;
  MutexLock lock(&mutex_);
  while (!closed_ && absl::Now() < until) changed_.WaitFor(&mutex_, until - absl::Now());
}

absl::Status ShardProcess::OnWelcome(const Welcome& welcome) {
  Post([this, welcome] { return Enter(welcome); });
  return absl::OkStatus();
}

absl::Status ShardProcess::OnView(const ViewAnnouncement& view) {
  Post([this, view] { return Join(view); });
  return absl::OkStatus();
}

absl::Status ShardProcess::OnDecision(const Decision& decision) {
  Post([this, decision] {
    if (state_ == nullptr) return absl::InvalidArgumentError("the coordinator decided before its welcome");
    RETURN_IF_ERROR(state_->Decide(decision));
    return Follow(decision.next);
  });
  return absl::OkStatus();
}

absl::Status ShardProcess::OnProceed(const Next& next) {
  Post([this, next] {
    if (state_ == nullptr) return absl::InvalidArgumentError("the coordinator proceeded before its welcome");
    RETURN_IF_ERROR(state_->Proceed(view_, next));
    return Follow(next);
  });
  return absl::OkStatus();
}

void ShardProcess::OnClosed(const absl::Status& status) {
  MutexLock lock(&mutex_);
  closed_ = true;
  closed_with_ = status;
  changed_.NotifyAll();
}

void ShardProcess::SendStatistics(uint32_t worker, const Key& key, const Statistics& statistics) {
  service_.SendStatistics(worker, key, statistics);
}

void ShardProcess::Refuse(uint32_t worker, const Key&, const absl::Status& why) { service_.Refuse(worker, why); }

void ShardProcess::VoteReady(const ReadyVote& vote) { participant_->Send(vote); }

void ShardProcess::TakeCheckpoint(const View& view, uint64_t step) { checkpointer_->Take(view, step); }

void ShardProcess::Applied(uint64_t, Outcome outcome) {
  metrics_->steps.With(outcome == Outcome::kCommit ? kCommitted : kSkipped).Increment();
}

}  // namespace arcshard::shard
