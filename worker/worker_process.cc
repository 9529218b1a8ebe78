#include "worker/worker_process.h"

#include <atomic>
#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/abortable_slot.h"
#include "client/participant.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "common/metrics/process_stats.h"
#include "common/net/host_address.h"
#include "common/net/host_port.h"
#include "worker/inference/verifier.h"
#include "worker/training/all_reduce/rendezvous.h"
#include "worker/training/all_reduce/worker_device.h"
#include "worker/view/view_connections.h"
#include "worker/view/view_joiner.h"
#include "worker/worker_protocol.h"
#include "worker/worker_run.h"

namespace arcshard::worker {
namespace {

// The training loop's thread: passes on what the coordinator says and carries out what WorkerProtocol decides.
class WorkerProcess {
 public:
  WorkerProcess(const WorkerOptions& options, client::Mailbox* mailbox, const Clock* clock, WorkerMetrics* metrics)
      : options_(options), mailbox_(mailbox), clock_(clock), metrics_(metrics) {}

  absl::Status Run() {
    if (options_.device.cuda) {
      RETURN_IF_ERROR(UseGpu(options_.device.index));
      device_ = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(options_.device.index));
    }
    RETURN_IF_ERROR(ChooseInterface());
    ASSIGN_OR_RETURN(rendezvous_, Rendezvous::Listen(interface_));
    LogInfo(absl::StrCat("waiting for the coordinator at ", options_.coordinator));
    // The training loop may wait for a shard or another worker when the coordinator wants something else of it.
    mailbox_->OnInterrupt([this] { connections_.Recheck(); });
    // It may wait for another worker's share of an evaluation that the other has abandoned.
    mailbox_->OnStop([this] {
      if (!evaluates_) return;
      connections_.With([](ViewConnections& view) { view.AbortAllReduce(absl::CancelledError("the run stops")); });
    });
    ASSIGN_OR_RETURN(participant_, client::Participant::Attend(RegistrationOptions(), mailbox_));
    return FollowProtocol();
  }

 private:
  // The all-reduce has no TLS, so it is bound under the rule for listeners without it.
  absl::Status ChooseInterface() {
    interface_ = WithoutBrackets(options_.all_reduce_interface);
    if (interface_ == "auto") {
      ASSIGN_OR_RETURN(interface_, LocalAddressTowards(options_.coordinator, options_.connect_timeout));
    }
    RETURN_IF_ERROR(options_.security.CheckListen(interface_, interface_));
    if (!IsLoopback(interface_)) {
      LogInfo(absl::StrCat("the workers' all-reduce on ", interface_, " has no TLS: let only workers reach it"));
    }
    return absl::OkStatus();
  }

  client::ParticipantOptions RegistrationOptions() {
    client::ParticipantOptions attend;
    attend.coordinator = options_.coordinator;
    attend.security = options_.security;
    attend.clock = clock_;
    attend.connect_timeout = options_.connect_timeout;
    attend.metrics = metrics_;
    attend.departure = options_.departure;
    attend.registration.role = Role::kWorker;
    attend.registration.address = rendezvous_->address();
    attend.stats = [this] {
      ParticipantStats stats = StatsOf(metrics_, {kDataWait, kForward, kWaitForShards, kLossPhase, kBackward,
                                                  kAllReduce, kVote, kOptimizer, kEvaluation});
      verifier_.AddTo(&stats);
      stats.waiting = WaitingNow();
      return stats;
    };
    return attend;
  }

  absl::Status FollowProtocol() {
    while (!protocol_.ended()) {
      for (const ParticipantMessage& message : protocol_.TakeMessages()) participant_->Send(message);
      if (const std::optional<WorkerProtocol::Work> work = protocol_.TakeWork(); work.has_value()) {
        const absl::Status status = std::visit([this](const auto& what) { return Do(what); }, *work);
        if (!status.ok()) Conclude(*work, status);
      } else if (const auto event = AwaitEvent(); event.has_value()) {
        std::visit([this](const auto& what) { Receive(what); }, *event);
      } else {
        protocol_.OnTime(clock_->Now());
      }
    }
    return protocol_.status();
  }

  std::optional<client::Mailbox::Event> AwaitEvent() {
    SetIdleSince(clock_->Now());
    std::optional<client::Mailbox::Event> event = mailbox_->Await(protocol_.deadline());
    SetIdleSince(std::nullopt);
    return event;
  }

  void SetIdleSince(std::optional<MonotonicTime> since) {
    MutexLock lock(&mutex_);
    idle_since_ = since;
  }

  // For whom the training loop waits.
  Waiting WaitingNow() {
    Waiting waiting;
    connections_.With([&](const ViewConnections& view) { waiting = view.waiting(); });
    MutexLock lock(&mutex_);
    if (waiting.waits() || !idle_since_.has_value()) return waiting;
    waiting.coordinator = true;
    waiting.seconds = absl::ToDoubleSeconds(clock_->Now() - *idle_since_);
    return waiting;
  }

  // The work has ended with an error.
  void Conclude(const WorkerProtocol::Work& work, const absl::Status& status) {
    if (protocol_.running() && mailbox_->interrupted()) return protocol_.OnVoided();
    std::optional<LostPeersReport> lost;
    if (WorkerProtocol::NeedsPeers(work)) {
      connections_.With([&](const ViewConnections& view) { lost = view.LossBehind(status); });
    }
    if (!lost.has_value()) return protocol_.OnFailed(status, clock_->Now());
    LogInfo(absl::StrCat("waits for the coordinator's next view: ", status.message()));
    protocol_.OnLostPeers(*std::move(lost), clock_->Now());
  }

  void Receive(const Welcome& welcome) {
    self_ = {welcome.id, welcome.token};
    SetProcessName(absl::StrCat("arcshard-worker ", self_.id));
    metrics_->SetMember(kWorkerRole, self_.id);
    protocol_.OnWelcome(welcome, clock_->Now());
  }
  void Receive(const ViewAnnouncement& view) { protocol_.OnView(view, clock_->Now()); }
  void Receive(const Install& install) { protocol_.OnInstall(install, clock_->Now()); }
  void Receive(const Decision& decision) { protocol_.OnDecision(decision, clock_->Now()); }
  void Receive(const Proceed& proceed) { protocol_.OnProceed(proceed, clock_->Now()); }
  void Receive(const client::Mailbox::Detached& detached) { protocol_.OnDetached(detached.why, clock_->Now()); }
  void Receive(const client::Mailbox::Closed& closed) { protocol_.OnClosed(closed.status); }

  // Cancelled: an event is queued that makes void what is being done.
  absl::Status Interruption() const {
    return mailbox_->interrupted() ? absl::CancelledError("the coordinator has interrupted this worker")
                                   : absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::OpenData& open) {
    WorkerRun::Options options;
    options.config_yaml = open.welcome.config_yaml;
    options.data = options_.data;
    options.device = device_;
    options.security = options_.security;
    options.interface = interface_;
    options.clock = clock_;
    options.metrics = metrics_;
    options.verifier = &verifier_;
    options.connections = &connections_;
    options.interruption = [this] { return Interruption(); };
    options.report = [this](const CheckpointReport& report) { participant_->Send(report); };
    ASSIGN_OR_RETURN(run_, WorkerRun::Open(std::move(options)));
    const RunConfig::Cluster& cluster = run_->config().cluster;
    participant_->SetTimeouts(cluster.heartbeat_timeout, cluster.rejoin_timeout);
    protocol_.OnDataOpened(run_->dataset());
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::Attach& attach) {
    if (run_ != nullptr) run_->Leave();
    Registration registration = attach.registration;
    registration.address = rendezvous_->address();
    participant_->Attach(std::move(registration));
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::JoinView& join) {
    const auto heed = [this] {
      RETURN_IF_ERROR(Interruption());
      const std::optional<Proceed> proceed = mailbox_->TakeProceed();
      return proceed.has_value() ? protocol_.OnProceedWhileJoining(*proceed) : absl::OkStatus();
    };
    ASSIGN_OR_RETURN(const WorkerRun::Joined joined, run_->Join(join, self_, heed, [this] { protocol_.OnRestored(); }));
    protocol_.OnJoined(joined.verification_images, joined.seconds);
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::ApplyDecision& apply) { return run_->Apply(apply.decision); }

  absl::Status Do(const WorkerProtocol::BeginCheckpoint& begin) {
    run_->Begin(begin);
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::ComputeStep& compute) {
    ASSIGN_OR_RETURN(ReadyVote vote, run_->Compute(compute.plan));
    protocol_.OnComputed(std::move(vote));
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::Evaluate& evaluate) {
    evaluates_ = true;
    absl::StatusOr<Verifier::Reports> reports = run_->Evaluate(evaluate, [this] { return HeedProceeds(); });
    evaluates_ = false;
    if (!reports.ok()) {
      const absl::Status heeded = HeedProceeds();  // the stop may be why the sum was aborted
      return protocol_.abandoned() ? absl::OkStatus() : heeded.ok() ? reports.status() : heeded;
    }
    protocol_.OnEvaluated(std::move(reports->sets), absl::StrJoin(reports->problems, "; "));
    return absl::OkStatus();
  }

  // Does what the coordinator has asked for during an evaluation. Cancelled: that is abandoned or interrupted.
  absl::Status HeedProceeds() {
    while (!protocol_.abandoned()) {
      RETURN_IF_ERROR(Interruption());
      const std::optional<Proceed> proceed = mailbox_->TakeProceed();
      if (!proceed.has_value()) return absl::OkStatus();
      const auto checkpoint = protocol_.OnProceedWhileEvaluating(*proceed, clock_->Now());
      if (checkpoint.has_value()) RETURN_IF_ERROR(Do(*checkpoint));
    }
    return absl::CancelledError("the verification is abandoned");
  }

  absl::Status Do(const WorkerProtocol::FinishRun& finish) {
    RETURN_IF_ERROR(run_->Finish(finish));
    protocol_.OnFinished();
    return absl::OkStatus();
  }

  const WorkerOptions options_;
  client::Mailbox* const mailbox_;
  const Clock* const clock_;
  WorkerMetrics* const metrics_;
  WorkerProtocol protocol_;
  at::Device device_ = at::kCPU;
  std::string interface_;  // that the all-reduce binds to
  std::unique_ptr<Rendezvous> rendezvous_;
  ViewJoiner::Self self_;  // of the latest Welcome
  Verifier verifier_;
  client::AbortableSlot<ViewConnections> connections_{[this] { return Interruption(); }};
  std::atomic<bool> evaluates_ = false;
  Mutex mutex_;
  std::optional<MonotonicTime> idle_since_ ABSL_GUARDED_BY(mutex_);  // the training loop awaits an event
  std::unique_ptr<client::Participant> participant_;  // its destructor waits for the mailbox's last event
  std::unique_ptr<WorkerRun> run_;  // once the data is open; destroyed first, since it reports to the participant
};

}  // namespace

absl::Status RunWorker(const WorkerOptions& options, client::Mailbox* mailbox, const Clock* clock,
                       WorkerMetrics* metrics) {
  return WorkerProcess(options, mailbox, clock, metrics).Run();
}

}  // namespace arcshard::worker
