#pragma once

#include <string>

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// A tensor of a model under the name that its checkpoint gives it ("layer1.0.bn1.weight"). A handle: copies share the
// tensor.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

}  // namespace arcshard::worker
