#include "worker/worker_process.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "ATen/Context.h"
#include "ATen/Parallel.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "client/grpc_shard_link.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/config/load_config.h"
#include "common/io/file.h"
#include "common/io/file_system.h"
#include "common/io/log.h"
#include "common/metrics/process_stats.h"
#include "common/rpc/host_address.h"
#include "worker/backbone/backbone_file.h"
#include "worker/backbone/device_move.h"
#include "worker/data/open_dataset.h"
#include "worker/inference/evaluation.h"
#include "worker/training/checkpoint_writer.h"
#include "worker/training/run_backbone.h"
#include "worker/training/trainer.h"
#include "worker/training/worker_device.h"
#include "worker/training/worker_state.h"

namespace arcshard::worker {
namespace {

// How long the coordinator's own word about a death is waited for, once this worker has lost a peer.
constexpr absl::Duration kPatience = absl::Seconds(3);

class WorkerLife {
 public:
  WorkerLife(const WorkerOptions& options, client::Mailbox* mailbox, WorkerMetrics* metrics)
      : options_(options),
        mailbox_(mailbox),
        metrics_(metrics),
        phases_(metrics),
        checkpoints_({.files = RealFileSystem(),
                      .clock = &clock_,
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
    client::ParticipantOptions participant;
    participant.coordinator = options_.coordinator;
    participant.security = options_.security;
    participant.connect_timeout = options_.connect_timeout;
    participant.metrics = metrics_;
    participant.registration.role = Role::kWorker;
    participant.registration.address = rendezvous_->address();
    participant.stats = [this] {
      return StatsOf(metrics_, {kDataWait, kForward, kWaitForShards, kLossPhase, kBackward, kAllReduce, kVote,
                                kOptimizer, kEvaluation});
    };
    ASSIGN_OR_RETURN(participant_, client::Participant::Attend(std::move(participant), mailbox_));
    return Explain(Attend());
  }

 private:
  // Where the all-reduce listens. It knows no TLS, so the rule about that is all there is to say.
  absl::Status ChooseInterface() {
    interface_ = options_.all_reduce_interface;
    if (interface_ == "auto") {
      ASSIGN_OR_RETURN(interface_, LocalAddressTowards(options_.coordinator, options_.connect_timeout));
    }
    RETURN_IF_ERROR(options_.security.CheckListen(interface_, interface_));
    if (!IsLoopback(interface_)) {
      LogInfo(absl::StrCat("the workers' all-reduce, on ", interface_, ", knows no TLS: let only workers reach it"));
    }
    return absl::OkStatus();
  }

  // Follows the coordinator until the run ends.
  absl::Status Attend() {
    while (true) {
      absl::StatusOr<client::Mailbox::Event> event = mailbox_->Await();
      if (!event.ok()) return finished_ && absl::IsCancelled(event.status()) ? absl::OkStatus() : event.status();
      RETURN_IF_ERROR(std::visit([this](const auto& what) { return Handle(what); }, *event));
    }
  }

  // Which sentence tells the most: the coordinator's, if it has one; it is told ours, if not.
  absl::Status Explain(const absl::Status& status) {
    if (status.ok()) return status;
    // A lost peer is a symptom. The coordinator knows who died, or will in a moment.
    const absl::Status closed = mailbox_->AwaitClosed(absl::IsUnavailable(status) ? kPatience : absl::ZeroDuration());
    if (!closed.ok()) return absl::IsCancelled(closed) ? status : closed;
    participant_->Send(FailureReport::Of(status));
    mailbox_->AwaitClosed(kPatience).IgnoreError();
    return status;
  }

  absl::Status Handle(const Welcome& welcome) {
    id_ = welcome.id;
    token_ = welcome.token;
    SetProcessName(absl::StrCat("arcshard-worker ", id_));
    ASSIGN_OR_RETURN(config_, ParseRunConfig(welcome.config_yaml, "the coordinator's configuration", {}));
    if (!options_.data.empty()) config_.data.train = options_.data;
    metrics_->WatchDisk(config_.run.folder);
    at::globalContext().setDeterministicCuDNN(config_.run.deterministic);
    at::set_num_threads(config_.cluster.worker_threads);
    ASSIGN_OR_RETURN(dataset_, OpenDataset(DatasetOptionsOf(config_)));
    ASSIGN_OR_RETURN(sets_, LoadVerificationSets(config_.verification.sets));
    LogInfo(absl::StrCat(dataset_->path(), ": ", dataset_->samples(), " samples of ", dataset_->classes(), " classes"));
    participant_->Send(DatasetReport{.samples = static_cast<uint64_t>(dataset_->samples()),
                                     .classes = dataset_->classes(),
                                     .fingerprint = dataset_->fingerprint()});
    return absl::OkStatus();
  }

  absl::Status Handle(const ViewAnnouncement& view) {
    const auto self =
        std::find_if(view.workers.begin(), view.workers.end(), [this](const WorkerMember& w) { return w.id == id_; });
    if (self == view.workers.end())
      return absl::FailedPreconditionError(absl::StrCat(ToString(view.view), " is without this worker"));
    if (trainer_ == nullptr) RETURN_IF_ERROR(MakeTrainer(view));
    if (!view.checkpoint.empty()) RETURN_IF_ERROR(BlameCheckpoint(Resume(view)));
    seat_.view = view;
    seat_.position = self - view.workers.begin();
    metrics_->view.Set(static_cast<double>(view.view.counter));
    metrics_->incarnation.Set(static_cast<double>(view.view.incarnation));

    head_ = std::make_unique<client::HeadClient>(config_.backbone.embedding_size, &metrics_->micro_batches_in_flight);
    for (size_t i = 0; i < view.shards.size(); ++i) {
      client::ShardLinkOptions link;
      link.shard = i;
      link.address = view.shards[i].address;
      link.security = options_.security;
      link.worker = id_;
      link.token = token_;
      link.dim = config_.backbone.embedding_size;
      link.view = view.view;
      link.connect_timeout = config_.cluster.connect_timeout;
      link.metrics = metrics_;
      ASSIGN_OR_RETURN(std::unique_ptr<client::ShardLink> connected, client::ConnectShard(link, head_.get()));
      head_->AddLink(std::move(connected));
    }
    AllReduceOptions group;
    group.view = view.view;
    group.rank = static_cast<int>(seat_.position);
    group.size = static_cast<int>(view.workers.size());
    group.rendezvous = view.workers.front().rendezvous;
    group.interface = interface_;
    group.device = device_;
    group.timeout = std::max(config_.cluster.connect_timeout, absl::Minutes(5));
    ASSIGN_OR_RETURN(all_reduce_, AllReduce::Connect(group));
    mailbox_->OnClose([this](const absl::Status& status) {
      const absl::Status reason = status.ok() ? absl::CancelledError("the run has ended") : status;
      head_->Abort(reason);
      all_reduce_->Abort(reason);
    });
    seat_.head = head_.get();
    seat_.all_reduce = all_reduce_.get();
    trainer_->Enter(seat_);
    LogInfo(absl::StrCat("joined ", ToString(view.view), " with ", view.workers.size(), " workers and ",
                         view.shards.size(), " shards, ", view.num_classes, " classes"));
    participant_->Send(JoinedReport{view.view});
    return absl::OkStatus();
  }

  absl::Status MakeTrainer(const ViewAnnouncement& view) {
    Trainer::Parts parts{.clock = &clock_, .phases = &phases_};
    const bool fresh = view.checkpoint.empty();
    RunConfig first = config_;
    if (!fresh) first.backbone.init.clear();  // the checkpoint has all of it
    ASSIGN_OR_RETURN(parts.backbone, MakeBackbone(first, view.num_classes));
    MoveTo(device_, parts.backbone.get());
    ASSIGN_OR_RETURN(parts.loss,
                     MarginLoss::Create(config_.loss, config_.head.scale, config_.run.seed, view.num_classes));
    ASSIGN_OR_RETURN(parts.loader, Loader::Create(LoaderOptionsOf(config_), dataset_.get()));
    ASSIGN_OR_RETURN(parts.plan, SamplePlanOf(config_, static_cast<uint64_t>(dataset_->samples())));
    if (config_.data.log_samples) {
      const std::string logs = absl::StrCat(config_.run.folder, "/logs");
      RETURN_IF_ERROR(CreateFolders(logs));
      parts.samples = std::make_unique<SampleLog>(absl::StrCat(logs, "/samples-worker-", id_, ".jsonl"));
    }
    ASSIGN_OR_RETURN(trainer_, Trainer::Create(config_, std::move(parts)));
    return fresh ? InitFrom(config_.init_from) : absl::OkStatus();
  }

  // The first weights of a new run, from another's checkpoint.
  absl::Status InitFrom(const RunConfig::InitFrom& init_from) {
    if (init_from.checkpoint.empty() || init_from.parts == "head") return absl::OkStatus();
    ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(RealFileSystem(), init_from.checkpoint));
    const absl::Status status = InitWorker(checkpoint, init_from.moments, trainer_->state());
    return status.ok() ? status : Annotate(status, "init_from");
  }

  absl::Status Resume(const ViewAnnouncement& view) {
    ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(RealFileSystem(), view.checkpoint));
    if (checkpoint.manifest().step != view.last_decided_step) {
      return absl::FailedPreconditionError(absl::StrCat(view.checkpoint, ": is of step ", checkpoint.manifest().step,
                                                        ", but the run goes on after step ", view.last_decided_step));
    }
    RETURN_IF_ERROR(RestoreWorker(checkpoint, trainer_->state()));
    best_accuracy_ = checkpoint.manifest().best_accuracy;
    LogInfo(absl::StrCat("goes on after step ", view.last_decided_step, " from ", view.checkpoint));
    return absl::OkStatus();
  }

  absl::Status Handle(const Decision& decision) {
    step_ = decision.step;
    if (decision.step > seat_.view.last_decided_step) {  // the first one commits nothing
      if (voted_at_.has_value()) phases_.vote.Observe(absl::ToDoubleSeconds(clock_.Now() - *voted_at_));
      RETURN_IF_ERROR(trainer_->Apply(decision));
      metrics_->steps.With(decision.outcome == Outcome::kCommit ? kCommitted : kSkipped).Increment();
    }
    return Handle(decision.next);
  }

  absl::Status Handle(const Next& next) {
    // Every worker's state is the same: one writes it, while all go on.
    if (next.checkpoint && seat_.position == 0) {
      const View view = seat_.view.view;
      checkpoints_.Begin({view, step_, CheckpointFolder(config_.run.folder, {step_, view.incarnation})},
                         trainer_->state());
    }
    switch (next.action) {
      case NextAction::kStep:
        return Compute(next.plan);
      case NextAction::kEvaluate:
        return Evaluate();
      case NextAction::kStop:
        return Finish();
    }
    return absl::InternalError("unreachable");
  }

  absl::Status Compute(const StepPlan& plan) {
    absl::StatusOr<StepVote> vote = trainer_->Compute(plan);
    if (!vote.ok()) return Annotate(vote.status(), absl::StrCat("step ", plan.step));
    metrics_->corrupt_records.Increment(static_cast<double>(vote->corrupt_records));
    const Loader& loader = trainer_->loader();
    metrics_->loader_stalls.Increment(static_cast<double>(loader.stalls()) - metrics_->loader_stalls.Value());
    metrics_->queue_depth.With(kDecodedQueue).Set(static_cast<double>(loader.ready()));
    voted_at_ = clock_.Now();
    participant_->Send(ReadyVote{.view = seat_.view.view,
                                 .step = plan.step,
                                 .finite = vote->finite,
                                 .loss = vote->loss,
                                 .target_cosine = vote->target_cosine,
                                 .reason = vote->reason,
                                 .corrupt_records = vote->corrupt_records});
    return absl::OkStatus();
  }

  absl::Status Evaluate() {
    ScopedTimer timer(&phases_.evaluation, &clock_);
    ASSIGN_OR_RETURN(const std::vector<VerificationResult> results,
                     VerifyTogether(trainer_->backbone(), sets_, EvaluationOptions(), seat_.position,
                                    seat_.view.workers.size(), all_reduce_.get()));
    EvaluationReport report{.view = seat_.view.view, .sets = {}};
    for (size_t i = 0; i < results.size(); ++i) {
      const VerificationReport& set = report.sets.emplace_back(ReportOf(*sets_[i], results[i]));
      LogInfo(absl::StrCat(set.name, ": ", DescribeFolds(set), "; ", DescribeAllPairs(set)));
    }
    RETURN_IF_ERROR(KeepBest(MeanAccuracy(report.sets)));
    if (seat_.position == 0) participant_->Send(report);
    return absl::OkStatus();
  }

  // All workers know the same results, so whichever is the lowest keeps the best backbone of the whole run.
  absl::Status KeepBest(double accuracy) {
    if (accuracy <= best_accuracy_) return absl::OkStatus();
    best_accuracy_ = accuracy;
    if (!config_.verification.keep_best || seat_.position != 0) return absl::OkStatus();
    return WriteBackbone("best_backbone.safetensors",
                         {{"step", absl::StrCat(step_)}, {"accuracy", absl::StrFormat("%.6f", accuracy)}});
  }

  absl::Status WriteBackbone(absl::string_view name, const SafetensorsMetadata& metadata) const {
    const std::string folder = absl::StrCat(config_.run.folder, "/model");
    RETURN_IF_ERROR(CreateFolders(folder));
    return SaveBackbone(*trainer_->backbone(), absl::StrCat(folder, "/", name), metadata);
  }

  absl::Status Finish() {
    checkpoints_.Await();  // first what a run can go on from
    if (seat_.position == 0) RETURN_IF_ERROR(WriteBackbone("backbone.safetensors", {{"step", absl::StrCat(step_)}}));
    finished_ = true;
    participant_->Send(FinishedReport{});
    return absl::OkStatus();
  }

  // As many images in memory as in training, however many threads share them.
  EmbedOptions EvaluationOptions() const {
    EmbedOptions options;
    options.normalization = {static_cast<float>(config_.data.pixel_mean), static_cast<float>(config_.data.pixel_std)};
    options.threads = config_.cluster.worker_threads;
    options.batch_size = std::max<int64_t>(1, config_.data.micro_batch_size / config_.cluster.worker_threads);
    return options;
  }

  const WorkerOptions options_;
  client::Mailbox* const mailbox_;
  WorkerMetrics* const metrics_;
  PhaseHistograms phases_;
  const SystemClock clock_;
  at::Device device_ = at::kCPU;
  std::string interface_;  // that the all-reduce binds to
  std::unique_ptr<Rendezvous> rendezvous_;
  RunConfig config_;
  uint32_t id_ = 0;
  std::string token_;  // that shows a shard that this is worker id_
  uint64_t step_ = 0;  // decided last
  double best_accuracy_ = 0.0;
  bool finished_ = false;
  std::optional<absl::Time> voted_at_;
  std::unique_ptr<Dataset> dataset_;
  std::vector<std::unique_ptr<VerificationSet>> sets_;
  std::unique_ptr<Trainer> trainer_;
  ViewSeat seat_;
  std::unique_ptr<client::HeadClient> head_;
  std::unique_ptr<AllReduce> all_reduce_;
  std::unique_ptr<client::Participant> participant_;  // no event comes when it has gone
  CheckpointWriter checkpoints_;                      // first to go: reports to the participant
};

}  // namespace

absl::Status RunWorker(const WorkerOptions& options, client::Mailbox* mailbox, WorkerMetrics* metrics) {
  return WorkerLife(options, mailbox, metrics).Run();
}

}  // namespace arcshard::worker
