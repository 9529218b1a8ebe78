#pragma once

#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/checkpoint/open_checkpoint.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/optimizer.h"

namespace arcshard::worker {

// The state that a worker carries from one step to the next, and that a checkpoint holds. Every worker has the same.
struct WorkerState {
  Backbone* backbone = nullptr;
  const Optimizer* optimizer = nullptr;  // of the backbone's parameters()
  at::Tensor loss_averages = {};         // MarginLoss::averages(); undefined: the loss has none
};

// The files that a worker writes into a checkpoint.
inline constexpr absl::string_view kBackboneFile = "backbone.safetensors", kOptimizerFile = "optimizer.safetensors";

// The tensors of kOptimizerFile, as handles into the state: "momentum.<parameter>", or "first_moment.<parameter>",
// "second_moment.<parameter>" and "steps"; "loss.averages". All float32, of the parameters' shapes.
std::vector<NamedTensor> OptimizerTensors(const WorkerState& state);

// All values of a state, so that few messages carry it. Replace gives another state of the same layout the same bits.
struct FlatState {
  at::Tensor floats;    // 1-D float32, contiguous, on the backbone's device
  at::Tensor integers;  // 1-D int64, likewise
};
FlatState Flatten(const WorkerState& state);
// InvalidArgument: `values` are of another layout; `state` is unchanged then.
absl::Status Replace(const FlatState& values, const WorkerState& state);

// Restores the state of a run that resumes. Moments that the checkpoint lacks, because a parameter was frozen then or
// the momentum was 0, keep their first values, and a line in the log says so.
// InvalidArgument: the checkpoint is of another backbone or optimizer.kind, or a tensor has another shape; says which,
// and the file. Also the errors of OpenCheckpoint::File.
absl::Status RestoreWorker(const OpenCheckpoint& checkpoint, const WorkerState& state);

// Takes the first weights of a new run from a checkpoint's backbone, and with `moments` also the state of the optimizer
// and the loss, as far as the checkpoint has it. Errors as RestoreWorker.
absl::Status InitWorker(const OpenCheckpoint& checkpoint, bool moments, const WorkerState& state);

}  // namespace arcshard::worker
