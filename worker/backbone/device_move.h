#pragma once

#include "ATen/core/Tensor.h"
#include "worker/backbone/backbone.h"

// Moves tensors between the CPU and the device that computes. If that is the CPU, these do nothing.
namespace arcshard::worker {

// The device that has the backbone's tensors, on which its Forward computes; the CPU, if it has none.
at::Device DeviceOf(const Backbone& backbone);

// Moves every tensor of the backbone's state. The layers' tensors move too, because they are handles to the same
// tensors. Call it before FlattenParameters, StepSums and Optimizer::Create, which use the parameters' memory.
void MoveTo(at::Device device, Backbone* backbone);

// Copies `values` from the CPU to `device`, through page-locked memory, so that the caller does not wait for the
// transfer and may change `values` after the call.
at::Tensor CopyTo(at::Device device, const at::Tensor& values);

}  // namespace arcshard::worker
