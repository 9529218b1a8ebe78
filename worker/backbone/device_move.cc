#include "worker/backbone/device_move.h"

#include <cassert>

#include "ATen/ops/empty.h"
#include "c10/core/GradMode.h"

namespace arcshard::worker {

at::Device DeviceOf(const Backbone& backbone) {
  const std::vector<NamedTensor>& tensors = backbone.state_dict();
  return tensors.empty() ? at::Device(at::kCPU) : tensors.front().tensor.device();
}

void MoveTo(at::Device device, Backbone* backbone) {
  c10::NoGradGuard no_grad;
  for (const NamedTensor& named : backbone->state_dict()) {
    if (named.tensor.device() != device) named.tensor.set_data(named.tensor.to(device));
  }
}

at::Tensor CopyTo(at::Device device, const at::Tensor& values) {
  assert(values.is_cpu());
  if (device.is_cpu()) return values;
  at::Tensor pinned = at::empty(values.sizes(), values.options().pinned_memory(true));
  pinned.copy_(values);
  return pinned.to(device, /*non_blocking=*/true);
}

}  // namespace arcshard::worker
