#include "shard_server/shard_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/config/compute_notes.h"
#include "common/config/load_config.h"
#include "common/io/log.h"
#include "common/metrics/process_stats.h"
#include "common/net/host_address.h"
#include "common/protocol/sample_plan.h"
#include "shard_server/checkpoint/class_centers.h"

namespace arcshard::shard {
namespace {

constexpr absl::Duration kFailureGrace = absl::Seconds(2);  // for the coordinator to receive a failure

// The range that the view gives to a shard; an empty one if the view does not name it, which JoinView refuses.
ClassRange RangeOf(const ViewAnnouncement& view, uint32_t id) {
  for (const ShardMember& shard : view.shards) {
    if (shard.id == id) return shard.range;
  }
  return {};
}

}  // namespace

ShardProcess::ShardProcess(Options options, ShardMetrics* metrics, const Clock* clock)
    : options_(std::move(options)),
      metrics_(metrics),
      clock_(clock),
      device_({.device = options_.device,
               .share = options_.share_device,
               .name = options_.name,
               .capacity_bytes = options_.capacity_bytes,
               .list_gpus = options_.list_gpus}),
      service_(metrics) {}

ShardProcess::~ShardProcess() {
  // Callers are destroyed before what they call: the workers' streams call the state, the executor the head, and the
  // range's writer the coordinator's stream.
  server_.reset();
  if (range_ != nullptr) range_->GiveUpCheckpoint();  // the executor's update may wait for the disk
  executor_.reset();
  state_.reset();
  range_.reset();
  participant_.reset();
}

absl::Status ShardProcess::Run() {
  ASSIGN_OR_RETURN(client::ParticipantOptions attend, Listen());
  ASSIGN_OR_RETURN(participant_, client::Participant::Attend(std::move(attend), this));
  absl::Status status = DoTasks();
  if (!status.ok()) TellFailure(status);
  return status;
}

absl::StatusOr<client::ParticipantOptions> ShardProcess::Listen() {
  client::ParticipantOptions attend;
  ASSIGN_OR_RETURN(attend.registration.device_request, device_.Request());
  ASSIGN_OR_RETURN(server_, RpcServer::Start(options_.listen, {&service_},
                                             {.security = options_.security, .known = service_.known_peers()}));
  ASSIGN_OR_RETURN(attend.registration.address, AdvertisedAddress(options_.advertise, server_->address(),
                                                                  options_.coordinator, options_.connect_timeout));
  LogInfo(absl::StrCat("listening on ", server_->address(), ", for workers ", attend.registration.address,
                       ", waiting for the coordinator at ", options_.coordinator));
  attend.coordinator = options_.coordinator;
  attend.security = options_.security;
  attend.clock = clock_;
  attend.connect_timeout = options_.connect_timeout;
  attend.metrics = metrics_;
  attend.departure = options_.departure;
  attend.registration.role = Role::kShard;
  attend.registration.capacity_bytes = static_cast<uint64_t>(options_.capacity_bytes);
  attend.stats = [this] {
    ParticipantStats stats = StatsOf(metrics_, {kBegin, kPass1, kPass2});
    stats.held_bytes = static_cast<uint64_t>(metrics_->bytes.Value());
    return stats;
  };
  return attend;
}

absl::Status ShardProcess::DoTasks() {
  RETURN_IF_ERROR(tasks_.Run());
  // The coordinator has closed its stream without an error.
  if (finished_) return absl::OkStatus();
  return absl::UnavailableError("the coordinator left before the end of the run");
}

absl::Status ShardProcess::Enter(const Welcome& welcome) {
  if (state_ != nullptr) return absl::InvalidArgumentError("the coordinator sent a second welcome");
  id_ = welcome.id;
  SetProcessName(absl::StrCat("arcshard-shard ", id_));
  metrics_->SetMember(kShardRole, id_);
  ASSIGN_OR_RETURN(config_, ParseRunConfig(welcome.config_yaml, "the coordinator's configuration", {}));
  RETURN_IF_ERROR(device_.Take(welcome.device));
  const std::string note = NoteOnHeadCompute(config_, WhyBfloat16IsSlow());
  if (!device_.device().cuda && !note.empty()) LogInfo(note);
  ShardState::Options options;
  options.id = id_;
  options.dim = config_.backbone.embedding_size;
  options.batch_size = MostSamplesOfAStep(config_);
  options.max_in_flight = config_.cluster.max_in_flight;
  options.deterministic = config_.run.deterministic;
  metrics_->WatchDisk(config_.run.folder);
  state_ = std::make_unique<ShardState>(options, static_cast<ShardOutput*>(this));
  service_.ExpectWorkers(config_.cluster.workers);
  service_.Attach(state_.get());
  LogInfo("registered, waiting for the other members of the run");
  return absl::OkStatus();
}

absl::Status ShardProcess::Join(const ViewAnnouncement& view) {
  if (state_ == nullptr) return absl::InvalidArgumentError("the coordinator announced a view before its welcome");
  // Before the range is built, which may take minutes: workers' hellos can be checked from now on.
  RETURN_IF_ERROR(service_.Admit(view));
  if (range_ == nullptr) {
    HeldRange::Options options{.config = &config_,
                               .device = device_.device(),
                               .capacity_bytes = device_.capacity_bytes(),
                               .files = options_.files,
                               .metrics = metrics_,
                               .clock = clock_,
                               .report = [this](const CheckpointReport& report) { participant_->Send(report); }};
    ASSIGN_OR_RETURN(range_, HeldRange::Build(options, view, RangeOf(view, id_)));
  }
  RETURN_IF_ERROR(state_->JoinView(view, range_->head()));
  view_ = view.view;
  metrics_->incarnation.Set(static_cast<double>(view_.incarnation));
  metrics_->view.Set(static_cast<double>(view_.counter));
  if (executor_ == nullptr) {
    executor_ = std::make_unique<Executor>(state_.get(),
                                           [this](const absl::Status& why) { tasks_.Post([why] { return why; }); });
  }
  participant_->Send(JoinedReport{view.view});
  return absl::OkStatus();
}

absl::Status ShardProcess::Follow(const Next& next) {
  if (next.action != NextAction::kStop) return absl::OkStatus();
  executor_->Finish();
  range_->AwaitCheckpoint();  // its report has to be sent before Finished
  RETURN_IF_ERROR(SaveClassCenters(absl::StrCat(config_.run.folder, "/model"), *range_->head()));
  finished_ = true;
  participant_->Send(FinishedReport{});
  return absl::OkStatus();
}

void ShardProcess::TellFailure(const absl::Status& status) {
  if (tasks_.AwaitClosed(*clock_, absl::ZeroDuration())) return;  // the coordinator itself has ended the run
  participant_->Send(FailureReport::Of(status));
  tasks_.AwaitClosed(*clock_, kFailureGrace);
}

absl::Status ShardProcess::OnWelcome(const Welcome& welcome) {
  tasks_.Post([this, welcome] { return Enter(welcome); });
  return absl::OkStatus();
}

absl::Status ShardProcess::OnView(const ViewAnnouncement& view) {
  tasks_.Post([this, view] { return Join(view); });
  return absl::OkStatus();
}

absl::Status ShardProcess::OnDecision(const Decision& decision) {
  tasks_.Post([this, decision] {
    if (state_ == nullptr) return absl::InvalidArgumentError("the coordinator sent a decision before its welcome");
    RETURN_IF_ERROR(state_->Decide(decision));
    return Follow(decision.next);
  });
  return absl::OkStatus();
}

absl::Status ShardProcess::OnProceed(const Next& next) {
  tasks_.Post([this, next] {
    if (state_ == nullptr) return absl::InvalidArgumentError("the coordinator sent Proceed before its welcome");
    RETURN_IF_ERROR(state_->Proceed(view_, next));
    return Follow(next);
  });
  return absl::OkStatus();
}

void ShardProcess::SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics) {
  service_.SendStatistics(worker, key, statistics);
}

void ShardProcess::Refuse(uint32_t worker, const Key&, const absl::Status& why) { service_.Refuse(worker, why); }

void ShardProcess::VoteReady(const ReadyVote& vote) { participant_->Send(vote); }

void ShardProcess::TakeCheckpoint(const View& view, uint64_t step) { range_->BeginCheckpoint(view, step); }

void ShardProcess::Applied(uint64_t, Outcome outcome) {
  metrics_->steps.With(outcome == Outcome::kCommit ? kCommitted : kSkipped).Increment();
}

}  // namespace arcshard::shard
