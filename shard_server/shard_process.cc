#include "shard_server/shard_process.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/config/load_config.h"
#include "common/io/log.h"
#include "common/metrics/process_stats.h"
#include "common/net/host_address.h"
#include "common/protocol/sample_plan.h"

namespace arcshard::shard {
namespace {

constexpr absl::Duration kFailureGrace = absl::Seconds(2);  // for the coordinator to receive a failure

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
  // Callers are destroyed before what they call: the streams of workers and other shards call the state, and so do the
  // heartbeats; what the holder owns calls the participant.
  server_.reset();
  service_.Attach(nullptr);
  holder_.reset();
  participant_.reset();
}

absl::Status ShardProcess::Run() {
  client::ParticipantOptions attend;
  RETURN_IF_ERROR(Listen(&attend));
  ASSIGN_OR_RETURN(participant_, client::Participant::Attend(std::move(attend), this));
  absl::Status status = DoTasks();
  if (!status.ok()) TellFailure(status);
  return status;
}

absl::Status ShardProcess::Listen(client::ParticipantOptions* attend) {
  ASSIGN_OR_RETURN(registration_.device_request, device_.Request());
  ASSIGN_OR_RETURN(server_, RpcServer::Start(options_.listen, {&service_},
                                             {.security = options_.security, .known = service_.known_peers()}));
  ASSIGN_OR_RETURN(registration_.address, AdvertisedAddress(options_.advertise, server_->address(),
                                                            options_.coordinator, options_.connect_timeout));
  registration_.role = Role::kShard;
  registration_.capacity_bytes = static_cast<uint64_t>(options_.capacity_bytes);
  registration_.spare = options_.spare;
  LogInfo(absl::StrCat("listening on ", server_->address(), ", for workers ", registration_.address,
                       ", waiting for the coordinator at ", options_.coordinator));
  attend->coordinator = options_.coordinator;
  attend->security = options_.security;
  attend->registration = registration_;
  attend->clock = clock_;
  attend->connect_timeout = options_.connect_timeout;
  attend->metrics = metrics_;
  attend->departure = options_.departure;
  attend->stats = [this] {
    ParticipantStats stats = StatsOf(metrics_, {kBegin, kPass1, kGradient, kPass2});
    stats.held_bytes = static_cast<uint64_t>(metrics_->bytes.Value());
    if (const std::optional<ShardLoad> load = service_.load(); load.has_value()) {
      stats.log_bytes = load->log_bytes;
      stats.replay_seconds = load->replay_seconds;
    }
    stats.waiting = service_.waiting();
    return stats;
  };
  return absl::OkStatus();
}

absl::Status ShardProcess::DoTasks() {
  RETURN_IF_ERROR(tasks_.Run());
  // The coordinator has closed its stream without an error.
  if (finished_) return absl::OkStatus();
  if (options_.spare && holder_ == nullptr) {
    LogInfo("the run has ended and did not need this spare");
    return absl::OkStatus();
  }
  return absl::UnavailableError("the coordinator left before the end of the run");
}

absl::Status ShardProcess::Enter(const Welcome& welcome) {
  if (config_yaml_.empty()) {
    RETURN_IF_ERROR(Configure(welcome.config_yaml));
  } else if (welcome.config_yaml != config_yaml_) {
    return absl::FailedPreconditionError(
        "the coordinator came back with another configuration than the run had; a run changes it only when all its "
        "processes start again");
  }
  RETURN_IF_ERROR(device_.Take(welcome.device));
  const bool other = holder_ == nullptr || id_ != welcome.id;
  id_ = welcome.id;
  token_ = welcome.token;
  SetProcessName(absl::StrCat("arcshard-shard ", id_));
  metrics_->SetMember(kShardRole, id_);
  // What is held of another number's range is of no use.
  if (other) Renew();
  LogInfo("registered, waiting for the other members of the run");
  return absl::OkStatus();
}

absl::Status ShardProcess::Configure(const std::string& config_yaml) {
  ASSIGN_OR_RETURN(config_, ParseRunConfig(config_yaml, "the coordinator's configuration", {}));
  config_yaml_ = config_yaml;
  metrics_->WatchDisk(config_.run.folder);
  service_.ExpectWorkers(config_.cluster.workers);
  service_.SetWireType(WireTypeOf(config_));
  participant_->SetTimeouts(config_.cluster.heartbeat_timeout, config_.cluster.rejoin_timeout);
  return absl::OkStatus();
}

void ShardProcess::Renew() {
  RangeHolder::Options options;
  options.state.id = id_;
  options.state.dim = config_.backbone.embedding_size;
  options.state.batch_size = MostSamplesOfAStep(config_);
  options.state.max_in_flight = config_.cluster.max_in_flight;
  options.state.deterministic = config_.run.deterministic;
  options.state.log_bytes = static_cast<uint64_t>(config_.cluster.log_mb) << 20;
  options.state.recovery_target = config_.cluster.recovery_target;
  options.state.clock = clock_;
  options.range = {.config = &config_,
                   .device = device_.device(),
                   .capacity_bytes = device_.capacity_bytes(),
                   .files = options_.files,
                   .metrics = metrics_,
                   .clock = clock_,
                   .report = [this](const CheckpointReport& report) { participant_->Send(report); }};
  options.security = options_.security;
  options.service = &service_;
  options.tell = [this](const ParticipantMessage& message) { participant_->Send(message); };
  options.on_failure = [this](const absl::Status& why) { tasks_.Post([why] { return why; }); };
  auto holder = std::make_unique<RangeHolder>(std::move(options));
  service_.Attach(holder->state());
  // The one before, whose memory the next range needs. It calls the state before, which nothing else does any more.
  std::swap(holder_, holder);
}

absl::Status ShardProcess::Join(const ViewAnnouncement& view) {
  if (holder_ == nullptr) return absl::InvalidArgumentError("the coordinator announced a view before its welcome");
  if (view.view < view_) {
    return absl::FailedPreconditionError(
        absl::StrCat(ToString(view.view), " was announced, but this shard is in ", ToString(view_)));
  }
  if (view.view > view_) {
    if (!holder_->Fits(view)) Renew();
    view_ = view.view;
    installed_ = finished_ = false;
    metrics_->incarnation.Set(static_cast<double>(view_.incarnation));
    metrics_->view.Set(static_cast<double>(view_.counter));
  }
  // Before the range is made, which may take minutes: workers' hellos can be checked from now on.
  RETURN_IF_ERROR(service_.Admit(view, id_));
  return holder_->Join(view);
}

absl::Status ShardProcess::Follow(const Next& next) {
  if (next.action != NextAction::kStop || finished_) return absl::OkStatus();
  ASSIGN_OR_RETURN(finished_, holder_->Finish(view_));
  if (finished_) participant_->Send(FinishedReport{});
  return absl::OkStatus();
}

absl::Status ShardProcess::Reattach() {
  Registration registration = registration_;
  ASSIGN_OR_RETURN(registration.device_request, device_.Request());
  registration.id = id_;
  registration.token = token_;
  if (holder_ != nullptr) {
    HeldState held = holder_->state()->held();
    if (held.view != View{}) registration.held = std::move(held);
  }
  participant_->Attach(std::move(registration));
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

void ShardProcess::PostToState(const char* message, std::function<absl::Status(ShardState*)> task) {
  tasks_.Post([this, message, task = std::move(task)] {
    if (holder_ == nullptr) {
      return absl::InvalidArgumentError(absl::StrCat("the coordinator sent ", message, " before its welcome"));
    }
    return task(holder_->state());
  });
}

absl::Status ShardProcess::OnInstall(const Install& install) {
  PostToState("Install", [this, install](ShardState* state) {
    RETURN_IF_ERROR(state->Install(install));
    if (std::exchange(installed_, true)) return absl::OkStatus();
    return Follow(install.next);
  });
  return absl::OkStatus();
}

absl::Status ShardProcess::OnDecision(const Decision& decision) {
  PostToState("a decision", [this, decision](ShardState* state) {
    RETURN_IF_ERROR(state->Decide(decision));
    return Follow(decision.next);
  });
  return absl::OkStatus();
}

absl::Status ShardProcess::OnProceed(const Proceed& proceed) {
  PostToState("Proceed", [this, proceed](ShardState* state) {
    RETURN_IF_ERROR(state->Proceed(proceed));
    if (!installed_) return absl::OkStatus();  // it crossed Joined, and Install says the same
    return Follow(proceed.next);
  });
  return absl::OkStatus();
}

absl::Status ShardProcess::OnCheckpointSettled(const CheckpointSettled& settled) {
  PostToState("CheckpointSettled", [settled](ShardState* state) {
    state->CheckpointSettled(settled);
    return absl::OkStatus();
  });
  return absl::OkStatus();
}

// The participant has logged why.
void ShardProcess::OnDetached(const absl::Status&) {
  tasks_.Post([this] { return Reattach(); });
}

}  // namespace arcshard::shard
