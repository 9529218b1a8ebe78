#include "worker/training/trainer_setup.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/io/file_system.h"
#include "common/io/log.h"
#include "common/protocol/sample_plan.h"
#include "worker/data/loader.h"
#include "worker/loss/margin_loss.h"
#include "worker/training/sample_log.h"

namespace arcshard::worker {

absl::StatusOr<std::unique_ptr<Trainer>> MakeTrainer(const TrainerSetup& setup, std::unique_ptr<Backbone> backbone) {
  const RunConfig& config = *setup.config;
  Trainer::Parts parts{.backbone = std::move(backbone), .clock = setup.clock, .phases = setup.phases};
  ASSIGN_OR_RETURN(parts.loss, MarginLoss::Create(config.loss, config.head.scale, config.run.seed, setup.num_classes));
  ASSIGN_OR_RETURN(parts.loader, Loader::Create(LoaderOptionsOf(config), setup.dataset));
  ASSIGN_OR_RETURN(parts.plan, SamplePlanOf(config, static_cast<uint64_t>(setup.dataset->samples())));
  if (!setup.sample_log.empty()) parts.samples = std::make_unique<SampleLog>(setup.sample_log);
  return Trainer::Create(config, std::move(parts));
}

absl::Status InitFromCheckpoint(const RunConfig::InitFrom& init_from, const WorkerState& state) {
  if (init_from.checkpoint.empty() || init_from.parts == "head") return absl::OkStatus();
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(RealFileSystem(), init_from.checkpoint));
  const absl::Status status = InitWorker(checkpoint, init_from.moments, state);
  return status.ok() ? status : Annotate(status, "init_from");
}

absl::Status ResumeFromCheckpoint(const std::string& folder, const StatePoint& point, const WorkerState& state) {
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(RealFileSystem(), folder));
  if (const StatePoint found = checkpoint.manifest().state(); found != point) {
    return absl::FailedPreconditionError(
        found.step != point.step
            ? absl::StrCat(folder, ": is of step ", found.step, ", but the run resumes after step ", point.step)
            : absl::StrCat(folder, ": other decisions have led to its state after step ", found.step,
                           " than to the one that the run resumes from"));
  }
  RETURN_IF_ERROR(RestoreWorker(checkpoint, state));
  LogInfo(absl::StrCat("resumed after step ", point.step, ", from ", folder));
  return absl::OkStatus();
}

}  // namespace arcshard::worker
