#pragma once

#include "ATen/core/Tensor.h"
#include "worker/backbone/backbone.h"

// Tensors between the CPU and the device that computes. On the CPU all of it does nothing.
namespace arcshard::worker {

// Where the backbone's tensors are, and so where its Forward computes.
at::Device DeviceOf(const Backbone& backbone);

// Moves every tensor of the backbone's state; handles that layers hold see the new place. Values are kept. Call before
// anything that takes the parameters' memory: FlattenParameters, StepSums, Optimizer.
void MoveTo(at::Device device, Backbone* backbone);

// `values`, which are on the CPU, on `device`: by way of page-locked memory, so that the caller does not wait for the
// copy and may change `values` at once.
at::Tensor CopyTo(at::Device device, const at::Tensor& values);

}  // namespace arcshard::worker
