#include "worker/training/worker_state.h"

#include <string>

#include "ATen/ops/cat.h"
#include "ATen/ops/empty.h"
#include "absl/strings/str_cat.h"
#include "c10/core/GradMode.h"
#include "common/base/status_macros.h"
#include "common/io/log.h"
#include "worker/backbone/backbone_file.h"
#include "worker/backbone/device_move.h"
#include "worker/backbone/tensor_file.h"

namespace arcshard::worker {
namespace {

absl::Status RestoreBackbone(const OpenCheckpoint& checkpoint, Backbone* backbone) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, checkpoint.File(kBackboneFile));
  return LoadBackbone(file, backbone);
}

absl::Status RestoreOptimizer(const OpenCheckpoint& checkpoint, const WorkerState& state) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, checkpoint.File(kOptimizerFile));
  const auto kind = file.metadata().find("optimizer");
  if (kind == file.metadata().end() || kind->second != state.optimizer->kind()) {
    return absl::InvalidArgumentError(absl::StrCat(
        file.path(), ": holds the state of ", kind == file.metadata().end() ? "an unknown optimizer" : kind->second,
        ", but this run's optimizer.kind is ", state.optimizer->kind()));
  }
  std::vector<NamedTensor> there;
  std::vector<std::string> missing;
  for (NamedTensor& tensor : OptimizerTensors(state)) {
    if (file.entries().contains(tensor.name)) {
      there.push_back(std::move(tensor));
    } else {
      missing.push_back(std::move(tensor.name));
    }
  }
  RETURN_IF_ERROR(ReadTensors(file, there));
  if (!missing.empty()) {
    LogInfo(absl::StrCat(file.path(), ": does not have ", missing.front(),
                         missing.size() == 1 ? "" : absl::StrCat(" and ", missing.size() - 1, " others"),
                         "; these begin with their first values"));
  }
  return absl::OkStatus();
}

// Handles to all tensors of the state, in the same order on every worker.
std::vector<at::Tensor> AllTensors(const WorkerState& state) {
  std::vector<at::Tensor> tensors;
  for (const NamedTensor& named : state.backbone->state_dict()) tensors.push_back(named.tensor);
  for (const NamedTensor& named : OptimizerTensors(state)) tensors.push_back(named.tensor);
  return tensors;
}

}  // namespace

std::vector<NamedTensor> OptimizerTensors(const WorkerState& state) {
  std::vector<NamedTensor> tensors;
  for (const NamedTensor& kept : state.optimizer->state()) {
    if (kept.tensor.dim() == 0) {
      tensors.push_back(kept);
      continue;
    }
    int64_t offset = 0;  // in the buffer of all parameters, in order (flat_parameters.h)
    for (const NamedTensor& parameter : state.backbone->parameters()) {
      const int64_t size = parameter.tensor.numel();
      tensors.push_back({absl::StrCat(kept.name, ".", parameter.name),
                         kept.tensor.narrow(0, offset, size).view(parameter.tensor.sizes())});
      offset += size;
    }
  }
  if (state.loss_averages.defined()) tensors.push_back({"loss.averages", state.loss_averages});
  return tensors;
}

FlatState Flatten(const WorkerState& state) {
  c10::NoGradGuard no_grad;
  std::vector<at::Tensor> floats, integers;
  const at::Device device = DeviceOf(*state.backbone);
  for (const at::Tensor& tensor : AllTensors(state)) {
    (tensor.scalar_type() == at::kLong ? integers : floats).push_back(tensor.detach().reshape({-1}).to(device));
  }
  FlatState flat;
  const auto together = [&](const std::vector<at::Tensor>& tensors, at::ScalarType type) {
    return tensors.empty() ? at::empty({0}, at::TensorOptions(type).device(device)) : at::cat(tensors);
  };
  flat.floats = together(floats, at::kFloat);
  flat.integers = together(integers, at::kLong);
  return flat;
}

absl::Status Replace(const FlatState& values, const WorkerState& state) {
  c10::NoGradGuard no_grad;
  const std::vector<at::Tensor> tensors = AllTensors(state);
  int64_t floats = 0, integers = 0;
  for (const at::Tensor& tensor : tensors) (tensor.scalar_type() == at::kLong ? integers : floats) += tensor.numel();
  if (values.floats.numel() != floats || values.integers.numel() != integers) {
    return absl::InvalidArgumentError(absl::StrCat("a state of ", values.floats.numel(), " floats and ",
                                                   values.integers.numel(), " integers does not fit one of ", floats,
                                                   " and ", integers));
  }
  floats = integers = 0;
  for (const at::Tensor& tensor : tensors) {
    const bool integer = tensor.scalar_type() == at::kLong;
    int64_t& offset = integer ? integers : floats;
    tensor.copy_((integer ? values.integers : values.floats).narrow(0, offset, tensor.numel()).view(tensor.sizes()));
    offset += tensor.numel();
  }
  return absl::OkStatus();
}

absl::Status RestoreWorker(const OpenCheckpoint& checkpoint, const WorkerState& state) {
  RETURN_IF_ERROR(RestoreBackbone(checkpoint, state.backbone));
  return RestoreOptimizer(checkpoint, state);
}

absl::Status InitWorker(const OpenCheckpoint& checkpoint, bool moments, const WorkerState& state) {
  RETURN_IF_ERROR(RestoreBackbone(checkpoint, state.backbone));
  if (!moments) return absl::OkStatus();
  if (!checkpoint.Has(kOptimizerFile)) {
    LogInfo(absl::StrCat(checkpoint.folder(), ": has no ", kOptimizerFile, ": the backbone's moments begin at 0"));
    return absl::OkStatus();
  }
  return RestoreOptimizer(checkpoint, state);
}

}  // namespace arcshard::worker
