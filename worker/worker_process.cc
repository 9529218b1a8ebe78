#include "worker/worker_process.h"

#include <memory>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "ATen/Context.h"
#include "ATen/Parallel.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/abortable_slot.h"
#include "client/participant.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/config/compute_notes.h"
#include "common/config/load_config.h"
#include "common/io/file.h"
#include "common/io/file_system.h"
#include "common/io/log.h"
#include "common/metrics/process_stats.h"
#include "common/net/host_address.h"
#include "common/net/host_port.h"
#include "worker/backbone/device_move.h"
#include "worker/data/open_dataset.h"
#include "worker/inference/verifier.h"
#include "worker/training/checkpoint_writer.h"
#include "worker/training/model_keeper.h"
#include "worker/training/run_backbone.h"
#include "worker/training/trainer_setup.h"
#include "worker/training/worker_device.h"
#include "worker/view_connections.h"
#include "worker/worker_protocol.h"

namespace arcshard::worker {
namespace {

// The training loop's thread: carries out what WorkerProtocol decides, with the parts that know how.
class WorkerProcess {
 public:
  WorkerProcess(const WorkerOptions& options, client::Mailbox* mailbox, const Clock* clock, WorkerMetrics* metrics)
      : options_(options),
        mailbox_(mailbox),
        clock_(clock),
        metrics_(metrics),
        phases_(metrics),
        checkpoints_({.files = RealFileSystem(),
                      .clock = clock,
                      .metrics = metrics,
                      .report = [this](const CheckpointReport& report) { participant_->Send(report); }}) {}

  absl::Status Run() {
    if (options_.device.cuda) {
      RETURN_IF_ERROR(UseGpu(options_.device.index));
      device_ = at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(options_.device.index));
    }
    RETURN_IF_ERROR(ChooseInterface());
    ASSIGN_OR_RETURN(rendezvous_, Rendezvous::Listen(interface_));
    LogInfo(absl::StrCat("waiting for the coordinator at ", options_.coordinator));
    // The training loop may wait for a shard or another worker when the coordinator's stream ends.
    mailbox_->OnClose([this](const absl::Status& status) {
      connections_.Abort(status.ok() ? absl::CancelledError("the run has ended") : status);
    });
    // It may wait for another worker's share of an evaluation that the other has abandoned.
    mailbox_->OnStop([this] {
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
      return stats;
    };
    return attend;
  }

  absl::Status FollowProtocol() {
    while (!protocol_.ended()) {
      for (const ParticipantMessage& message : protocol_.TakeMessages()) participant_->Send(message);
      if (const std::optional<WorkerProtocol::Work> work = protocol_.TakeWork(); work.has_value()) {
        const absl::Status status = std::visit([this](const auto& what) { return Do(what); }, *work);
        if (!status.ok()) protocol_.OnFailed(status, clock_->Now());
      } else if (const auto event = mailbox_->Await(protocol_.deadline()); event.has_value()) {
        std::visit([this](const auto& what) { Receive(what); }, *event);
      } else {
        protocol_.OnTime(clock_->Now());
      }
    }
    return protocol_.status();
  }

  void Receive(const Welcome& welcome) { protocol_.OnWelcome(welcome, clock_->Now()); }
  void Receive(const ViewAnnouncement& view) { protocol_.OnView(view, clock_->Now()); }
  void Receive(const Decision& decision) { protocol_.OnDecision(decision, clock_->Now()); }
  void Receive(const Next& next) { protocol_.OnProceed(next, clock_->Now()); }
  void Receive(const client::Mailbox::Closed& closed) { protocol_.OnClosed(closed.status); }

  absl::Status Do(const WorkerProtocol::OpenData& open) {
    id_ = open.welcome.id;
    token_ = open.welcome.token;
    SetProcessName(absl::StrCat("arcshard-worker ", id_));
    metrics_->SetMember(kWorkerRole, id_);
    ASSIGN_OR_RETURN(config_, ParseRunConfig(open.welcome.config_yaml, "the coordinator's configuration", {}));
    if (!options_.data.empty()) config_.data.train = options_.data;
    metrics_->WatchDisk(config_.run.folder);
    const std::string note = NoteOnBackboneCompute(config_, WhyBfloat16IsSlow());
    if (!options_.device.cuda && !note.empty()) LogInfo(note);
    at::globalContext().setDeterministicCuDNN(config_.run.deterministic);
    at::set_num_threads(config_.cluster.worker_threads);
    ASSIGN_OR_RETURN(dataset_, OpenDataset(DatasetOptionsOf(config_)));
    RETURN_IF_ERROR(verifier_.Load(config_));
    LogInfo(absl::StrCat(dataset_->path(), ": ", dataset_->samples(), " samples of ", dataset_->classes(), " classes"));
    for (const std::string& warning : dataset_->Warnings()) LogInfo(absl::StrCat("warning: ", warning));
    models_.emplace(
        ModelKeeper::Options{.run_folder = config_.run.folder, .keep_best = config_.verification.keep_best});
    protocol_.OnDataOpened({.samples = static_cast<uint64_t>(dataset_->samples()),
                            .classes = dataset_->classes(),
                            .fingerprint = dataset_->fingerprint()});
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::JoinView& join) {
    const ViewAnnouncement& view = join.view;
    const VerificationShare share{join.position, view.workers.size()};
    RETURN_IF_ERROR(CheckSets(share));
    if (trainer_ == nullptr) RETURN_IF_ERROR(BeginTraining(view));
    if (!view.checkpoint.empty()) RETURN_IF_ERROR(BlameCheckpoint(Resume(view)));
    metrics_->view.Set(static_cast<double>(view.view.counter));
    metrics_->incarnation.Set(static_cast<double>(view.view.incarnation));
    connections_.Clear();  // the last view's: a shard has one stream of each worker
    ViewConnections::Options options;
    options.view = view;
    options.position = join.position;
    options.worker = id_;
    options.token = token_;
    options.dim = config_.backbone.embedding_size;
    options.security = options_.security;
    options.connect_timeout = config_.cluster.connect_timeout;
    options.interface = interface_;
    options.device = device_;
    options.metrics = metrics_;
    ASSIGN_OR_RETURN(std::unique_ptr<ViewConnections> connections, ViewConnections::Connect(options));
    ViewConnections* const installed = connections_.Install(std::move(connections));
    seat_ = {view, join.position, installed->head(), installed->all_reduce()};
    trainer_->Enter(seat_);
    LogInfo(absl::StrCat("joined ", ToString(view.view), " with ", view.workers.size(), " workers and ",
                         view.shards.size(), " shards, ", view.num_classes, " classes"));
    protocol_.OnJoined(static_cast<uint64_t>(verifier_.ImagesOf(share)));
    return absl::OkStatus();
  }

  // A run that is to stop needs no check any more, only to be joined.
  absl::Status CheckSets(const VerificationShare& share) {
    if (verifier_.sets().empty()) return absl::OkStatus();
    LogInfo(absl::StrCat("checking the verification sets: ", verifier_.ImagesOf(share), " images"));
    const absl::Status status = verifier_.Check(share, [this] {
      if (mailbox_->closed()) return absl::AbortedError("the run has ended");
      const std::optional<Next> next = mailbox_->TakeProceed();
      return next.has_value() ? protocol_.OnProceedWhileJoining(*next) : absl::OkStatus();
    });
    if (!absl::IsCancelled(status)) return status;
    LogInfo(absl::StrCat("the check of the verification sets is abandoned: ", status.message()));
    return absl::OkStatus();
  }

  // Makes the trainer. A new run's first weights may come from elsewhere; a resumed run's are replaced by Resume.
  absl::Status BeginTraining(const ViewAnnouncement& view) {
    const bool fresh = view.checkpoint.empty();
    RunConfig first = config_;
    if (!fresh) first.backbone.init.clear();
    ASSIGN_OR_RETURN(std::unique_ptr<Backbone> backbone, MakeBackbone(first, view.num_classes));
    MoveTo(device_, backbone.get());
    TrainerSetup setup{.config = &config_,
                       .dataset = dataset_.get(),
                       .num_classes = view.num_classes,
                       .clock = clock_,
                       .phases = &phases_};
    if (config_.data.log_samples) {
      const std::string logs = absl::StrCat(config_.run.folder, "/logs");
      RETURN_IF_ERROR(CreateFolders(logs));
      setup.sample_log = absl::StrCat(logs, "/samples-worker-", id_, ".jsonl");
    }
    ASSIGN_OR_RETURN(trainer_, MakeTrainer(setup, std::move(backbone)));
    return fresh ? InitFromCheckpoint(config_.init_from, trainer_->state()) : absl::OkStatus();
  }

  absl::Status Resume(const ViewAnnouncement& view) {
    ASSIGN_OR_RETURN(BestVerification best,
                     ResumeFromCheckpoint(view.checkpoint, view.last_decided_step, trainer_->state()));
    models_->Resume(std::move(best));
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::ApplyDecision& apply) {
    if (voted_at_.has_value()) phases_.vote.Observe(absl::ToDoubleSeconds(clock_->Now() - *voted_at_));
    RETURN_IF_ERROR(trainer_->Apply(apply.decision));
    metrics_->steps.With(apply.decision.outcome == Outcome::kCommit ? kCommitted : kSkipped).Increment();
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::BeginCheckpoint& begin) {
    const std::string folder = CheckpointFolder(config_.run.folder, {begin.step, begin.view.incarnation});
    checkpoints_.Begin({begin.view, begin.step, folder}, trainer_->state());
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::ComputeStep& compute) {
    const absl::StatusOr<StepVote> vote = trainer_->Compute(compute.plan);
    if (!vote.ok()) return Annotate(vote.status(), absl::StrCat("step ", compute.plan.step));
    metrics_->corrupt_records.Increment(static_cast<double>(vote->corrupt_records));
    const Loader& loader = trainer_->loader();
    metrics_->loader_stalls.Increment(static_cast<double>(loader.stalls()) - metrics_->loader_stalls.Value());
    metrics_->queue_depth.With(kDecodedQueue).Set(static_cast<double>(loader.ready()));
    voted_at_ = clock_->Now();
    protocol_.OnComputed({.finite = vote->finite,
                          .loss = vote->loss,
                          .target_cosine = vote->target_cosine,
                          .reason = vote->reason,
                          .corrupt_records = vote->corrupt_records});
    return absl::OkStatus();
  }

  absl::Status Do(const WorkerProtocol::Evaluate& evaluate) {
    ScopedTimer timer(&phases_.evaluation, clock_);
    const auto results = verifier_.Verify(trainer_->backbone(), {seat_.position, seat_.view.workers.size()},
                                          seat_.all_reduce, [this] { return HeedProceeds(); });
    if (!results.ok()) {
      const absl::Status heeded = HeedProceeds();  // the stop may be why the sum was aborted
      return protocol_.abandoned() ? absl::OkStatus() : heeded.ok() ? results.status() : heeded;
    }
    ReportEvaluation(evaluate, *results);
    return absl::OkStatus();
  }

  // Does what the coordinator has asked for during an evaluation. Cancelled: that is abandoned, or the run has ended.
  absl::Status HeedProceeds() {
    while (!protocol_.abandoned() && !mailbox_->closed()) {
      const std::optional<Next> next = mailbox_->TakeProceed();
      if (!next.has_value()) return absl::OkStatus();
      const auto checkpoint = protocol_.OnProceedWhileEvaluating(*next, clock_->Now());
      if (checkpoint.has_value()) RETURN_IF_ERROR(Do(*checkpoint));
    }
    return absl::CancelledError("the verification is abandoned");
  }

  // What fails here does not end the training.
  void ReportEvaluation(const WorkerProtocol::Evaluate& evaluate,
                        const std::vector<absl::StatusOr<VerificationResult>>& results) {
    std::vector<VerificationReport> reports;
    std::vector<std::string> problems;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!results[i].ok()) {
        problems.emplace_back(results[i].status().message());
        continue;
      }
      const VerificationSet& verified = *verifier_.sets()[i];
      VerificationReport& set = reports.emplace_back(ReportOf(verified, *results[i]));
      set.name = NameOfSet(config_.verification, verified.path());
      LogInfo(absl::StrCat(set.name, ": ", DescribeFolds(set), "; ", DescribeAllPairs(set)));
    }
    if (problems.empty()) {
      const absl::Status kept =
          models_->AfterEvaluation(*trainer_->backbone(), evaluate.step, reports, evaluate.writes_model);
      if (!kept.ok()) problems.push_back(absl::StrCat("the best backbone so far is not kept: ", kept.message()));
    }
    for (const std::string& problem : problems) {
      LogError(absl::StrCat("the verification after step ", evaluate.step, ": ", problem, "; training continues"));
    }
    protocol_.OnEvaluated(std::move(reports), absl::StrJoin(problems, "; "));
  }

  absl::Status Do(const WorkerProtocol::FinishRun& finish) {
    checkpoints_.Await();  // before the model, since a run can resume from it
    if (finish.writes_model) RETURN_IF_ERROR(models_->WriteFinal(*trainer_->backbone(), finish.step));
    protocol_.OnFinished();
    return absl::OkStatus();
  }

  const WorkerOptions options_;
  client::Mailbox* const mailbox_;
  const Clock* const clock_;
  WorkerMetrics* const metrics_;
  PhaseHistograms phases_;
  WorkerProtocol protocol_;
  at::Device device_ = at::kCPU;
  std::string interface_;  // that the all-reduce binds to
  std::unique_ptr<Rendezvous> rendezvous_;

  // Known once the coordinator's Welcome has come.
  uint32_t id_ = 0;
  std::string token_;  // proves to a shard that this is worker id_
  RunConfig config_;
  std::unique_ptr<Dataset> dataset_;
  Verifier verifier_;
  std::optional<ModelKeeper> models_;

  std::unique_ptr<Trainer> trainer_;       // made in the first view
  std::optional<MonotonicTime> voted_at_;  // about the last step
  ViewSeat seat_;
  client::AbortableSlot<ViewConnections> connections_;
  std::unique_ptr<client::Participant> participant_;  // its destructor waits for the mailbox's last event
  CheckpointWriter checkpoints_;                      // destroyed first, since it reports to the participant
};

}  // namespace

absl::Status RunWorker(const WorkerOptions& options, client::Mailbox* mailbox, const Clock* clock,
                       WorkerMetrics* metrics) {
  return WorkerProcess(options, mailbox, clock, metrics).Run();
}

}  // namespace arcshard::worker
