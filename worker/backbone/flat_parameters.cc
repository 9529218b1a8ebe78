#include "worker/backbone/flat_parameters.h"

#include <cassert>
#include <cstdint>

#include "ATen/ops/empty.h"
#include "c10/core/GradMode.h"

namespace arcshard::worker {

at::Tensor FlattenParameters(absl::Span<const NamedTensor> parameters) {
  c10::NoGradGuard no_grad;
  int64_t size = 0;
  for (const NamedTensor& parameter : parameters) size += parameter.tensor.numel();
  const at::Device device = parameters.empty() ? at::Device(at::kCPU) : parameters.front().tensor.device();
  at::Tensor values = at::empty({size}, at::TensorOptions(at::kFloat).device(device));
  int64_t offset = 0;
  for (const NamedTensor& parameter : parameters) {
    assert(parameter.tensor.scalar_type() == at::kFloat);
    const at::Tensor place = values.narrow(0, offset, parameter.tensor.numel()).view(parameter.tensor.sizes());
    place.copy_(parameter.tensor);
    parameter.tensor.set_data(place);
    offset += parameter.tensor.numel();
  }
  return values;
}

}  // namespace arcshard::worker
