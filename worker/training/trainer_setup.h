#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/config/run_config.h"
#include "common/protocol/types.h"
#include "worker/backbone/backbone.h"
#include "worker/data/dataset.h"
#include "worker/training/trainer.h"
#include "worker/training/worker_phases.h"
#include "worker/training/worker_state.h"

// How a worker's trainer is made from a run's configuration, and where its first state comes from.
namespace arcshard::worker {

// What a trainer is made of, besides its backbone. What the pointers point to outlives the trainer.
struct TrainerSetup {
  const RunConfig* config = nullptr;
  const Dataset* dataset = nullptr;
  int64_t num_classes = 0;  // N of the run
  const Clock* clock = nullptr;
  WorkerPhases* phases = nullptr;
  std::string sample_log = {};  // file that lists the samples of every micro-batch; empty: none is written
};

// A trainer of `backbone` at its first weights. Errors of MarginLoss::Create, Loader::Create, SamplePlanOf and
// Trainer::Create.
absl::StatusOr<std::unique_ptr<Trainer>> MakeTrainer(const TrainerSetup& setup, std::unique_ptr<Backbone> backbone);

// The first weights of a new run come from another run's checkpoint, if init_from names one. Errors of
// OpenCheckpoint::Open, and of InitWorker, annotated with the key.
absl::Status InitFromCheckpoint(const RunConfig::InitFrom& init_from, const WorkerState& state);

// Restores `state` from the checkpoint in `folder`. FailedPrecondition: the checkpoint is not that of `point`. Errors
// of OpenCheckpoint::Open and RestoreWorker.
absl::Status ResumeFromCheckpoint(const std::string& folder, const StatePoint& point, const WorkerState& state);

}  // namespace arcshard::worker
