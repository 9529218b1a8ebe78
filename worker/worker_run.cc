#include "worker/worker_run.h"

#include <cassert>
#include <utility>

#include "ATen/Context.h"
#include "ATen/Parallel.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/config/compute_notes.h"
#include "common/config/load_config.h"
#include "common/io/file_system.h"
#include "common/io/log.h"
#include "worker/data/open_dataset.h"

namespace arcshard::worker {

absl::StatusOr<std::unique_ptr<WorkerRun>> WorkerRun::Open(Options options) {
  std::unique_ptr<WorkerRun> run(new WorkerRun(std::move(options)));
  RETURN_IF_ERROR(run->OpenAll());
  return run;
}

WorkerRun::WorkerRun(Options options)
    : options_(std::move(options)),
      phases_(options_.metrics),
      checkpoints_({.files = RealFileSystem(),
                    .clock = options_.clock,
                    .metrics = options_.metrics,
                    .report = options_.report}) {
  assert(options_.verifier != nullptr && options_.connections != nullptr && options_.interruption);
}

absl::Status WorkerRun::OpenAll() {
  ASSIGN_OR_RETURN(config_, ParseRunConfig(options_.config_yaml, "the coordinator's configuration", {}));
  if (!options_.data.empty()) config_.data.train = options_.data;
  options_.metrics->WatchDisk(config_.run.folder);
  const std::string note = NoteOnBackboneCompute(config_, WhyBfloat16IsSlow());
  if (!options_.device.is_cuda() && !note.empty()) LogInfo(note);
  at::globalContext().setDeterministicCuDNN(config_.run.deterministic);
  at::set_num_threads(config_.cluster.worker_threads);
  ASSIGN_OR_RETURN(dataset_, OpenDataset(DatasetOptionsOf(config_)));
  RETURN_IF_ERROR(options_.verifier->Load(config_));
  LogInfo(absl::StrCat(dataset_->path(), ": ", dataset_->samples(), " samples of ", dataset_->classes(), " classes"));
  for (const std::string& warning : dataset_->Warnings()) LogInfo(absl::StrCat("warning: ", warning));
  models_.emplace(ModelKeeper::Options{.run_folder = config_.run.folder,
                                       .keep_best = config_.verification.keep_best,
                                       .may_write = options_.interruption});
  MakeJoiner();
  return absl::OkStatus();
}

void WorkerRun::MakeJoiner() {
  ViewJoiner::Options joining;
  joining.config = &config_;
  joining.dataset = dataset_.get();
  joining.clock = options_.clock;
  joining.phases = &phases_;
  joining.metrics = options_.metrics;
  joining.connections = options_.connections;
  joining.interruption = options_.interruption;
  joining.security = options_.security;
  joining.interface = options_.interface;
  joining.device = options_.device;
  joiner_ = std::make_unique<ViewJoiner>(joining);
}

DatasetReport WorkerRun::dataset() const {
  return {.samples = static_cast<uint64_t>(dataset_->samples()),
          .classes = dataset_->classes(),
          .fingerprint = dataset_->fingerprint()};
}

absl::StatusOr<WorkerRun::Joined> WorkerRun::Join(const WorkerProtocol::JoinView& join, const ViewJoiner::Self& self,
                                                  const Verifier::Heed& heed, const std::function<void()>& restored) {
  const ViewAnnouncement& view = join.view;
  const VerificationShare share{join.position, view.workers.size()};
  // Who comes to a run that is under way takes the place of one that has checked them.
  if (!checked_ && !view.last.has_value()) RETURN_IF_ERROR(CheckSets(share, heed));
  options_.metrics->view.Set(static_cast<double>(view.view.counter));
  options_.metrics->incarnation.Set(static_cast<double>(view.view.incarnation));
  Joined joined;
  ASSIGN_OR_RETURN(joined.seconds, joiner_->Join(join, self, restored));
  joined.verification_images = static_cast<uint64_t>(options_.verifier->ImagesOf(share));
  LogInfo(absl::StrCat("joined ", ToString(view.view), " with ", view.workers.size(), " workers and ",
                       view.shards.size(), " shards, ", view.num_classes, " classes"));
  return joined;
}

// A run that is to stop needs no check any more, only to be joined.
absl::Status WorkerRun::CheckSets(const VerificationShare& share, const Verifier::Heed& heed) {
  if (options_.verifier->sets().empty()) return absl::OkStatus();
  LogInfo(absl::StrCat("checking the verification sets: ", options_.verifier->ImagesOf(share), " images"));
  const absl::Status status = options_.verifier->Check(share, heed);
  checked_ = status.ok();
  if (!absl::IsCancelled(status)) return status;
  RETURN_IF_ERROR(options_.interruption());
  LogInfo(absl::StrCat("the check of the verification sets is abandoned: ", status.message()));
  return absl::OkStatus();
}

absl::Status WorkerRun::Apply(const Decision& decision) {
  if (voted_at_.has_value()) phases_.vote.Observe(*voted_at_, options_.clock->Now(), {.step = decision.step});
  RETURN_IF_ERROR(joiner_->trainer()->Apply(decision));
  options_.metrics->steps.With(decision.outcome == Outcome::kCommit ? kCommitted : kSkipped).Increment();
  options_.metrics->corrupt_records.Increment(static_cast<double>(corrupt_records_));
  return absl::OkStatus();
}

void WorkerRun::Begin(const WorkerProtocol::BeginCheckpoint& begin) {
  const std::string folder =
      CheckpointFolder(config_.run.folder, {begin.step, begin.view.incarnation, begin.view.counter});
  checkpoints_.Begin({begin.view, begin.step, folder}, joiner_->trainer()->state());
}

absl::StatusOr<ReadyVote> WorkerRun::Compute(const StepPlan& plan) {
  const absl::StatusOr<StepVote> vote = joiner_->trainer()->Compute(plan);
  if (!vote.ok()) return Annotate(vote.status(), absl::StrCat("step ", plan.step));
  ShowLoader(joiner_->trainer()->loader());
  corrupt_records_ = vote->corrupt_records;
  voted_at_ = options_.clock->Now();
  return ReadyVote{.finite = vote->finite,
                   .loss = vote->loss,
                   .target_cosine = vote->target_cosine,
                   .reason = vote->reason,
                   .corrupt_records = vote->corrupt_records};
}

void WorkerRun::ShowLoader(const Loader& loader) {
  if (loader.stalls() < stalls_) stalls_ = 0;  // another loader, after a rollback
  options_.metrics->loader_stalls.Increment(static_cast<double>(loader.stalls() - stalls_));
  stalls_ = loader.stalls();
  options_.metrics->queue_depth.With(kDecodedQueue).Set(static_cast<double>(loader.ready()));
}

absl::StatusOr<Verifier::Reports> WorkerRun::Evaluate(const WorkerProtocol::Evaluate& evaluate,
                                                      const Verifier::Heed& heed) {
  PhaseTimer timer(&phases_.evaluation, options_.clock, {.step = evaluate.step});
  const ViewSeat& seat = joiner_->seat();
  Backbone* const backbone = joiner_->trainer()->backbone();
  RETURN_IF_ERROR(heed());
  ASSIGN_OR_RETURN(
      const Verifier::Results results,
      options_.verifier->Verify(backbone, {seat.position, seat.view.workers.size()}, seat.all_reduce, heed));
  Verifier::Reports reports = options_.verifier->ReportsOf(results);
  if (reports.problems.empty() && evaluate.writes_model) {
    const absl::Status kept = models_->AfterEvaluation(*backbone, MomentOf(evaluate.step), evaluate.best, reports.sets);
    RETURN_IF_ERROR(options_.interruption());
    if (!kept.ok()) {
      reports.problems.push_back(absl::StrCat("the best backbone so far is not kept: ", kept.message()));
    }
  }
  // What fails here does not end the training.
  for (const std::string& problem : reports.problems) {
    LogError(absl::StrCat("the verification after step ", evaluate.step, ": ", problem, "; training continues"));
  }
  return reports;
}

absl::Status WorkerRun::Finish(const WorkerProtocol::FinishRun& finish) {
  checkpoints_.Await();  // before the model, since a run can resume from it
  if (finish.writes_model) {
    RETURN_IF_ERROR(models_->WriteFinal(*joiner_->trainer()->backbone(), MomentOf(finish.step)));
  }
  return options_.interruption();
}

}  // namespace arcshard::worker
