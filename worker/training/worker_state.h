#pragma once

#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/checkpoint/open_checkpoint.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/optimizer.h"

namespace arcshard::worker {

// What a worker's computation has from one step to the next, the same on every worker: what a checkpoint holds of it.
struct WorkerState {
  Backbone* backbone = nullptr;
  const Optimizer* optimizer = nullptr;  // of the backbone's parameters()
  at::Tensor loss_averages = {};         // MarginLoss::averages(); undefined: the loss keeps none
};

// The worker's files of a checkpoint.
inline constexpr absl::string_view kBackboneFile = "backbone.safetensors", kOptimizerFile = "optimizer.safetensors";

// The tensors of kOptimizerFile, as handles into the state: "momentum.<parameter>", or "first_moment.<parameter>",
// "second_moment.<parameter>" and "steps"; "loss.averages". All float32, of the parameters' shapes.
std::vector<NamedTensor> OptimizerTensors(const WorkerState& state);

// The state of a run that goes on. What the checkpoint does not have of the optimizer, because a parameter was frozen
// then or the momentum was 0, begins anew, and a line in the log says so.
// InvalidArgument: another backbone, another optimizer.kind, or a tensor of another shape; says which, and the file.
// Else as OpenCheckpoint::File.
absl::Status RestoreWorker(const OpenCheckpoint& checkpoint, const WorkerState& state);

// The first weights of a new run: the checkpoint's backbone, and with `moments` what it has of the optimizer and the
// loss too, if anything. Errors as RestoreWorker.
absl::Status InitWorker(const OpenCheckpoint& checkpoint, bool moments, const WorkerState& state);

}  // namespace arcshard::worker
