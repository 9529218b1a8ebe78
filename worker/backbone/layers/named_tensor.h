#pragma once

#include <string>

#include "ATen/core/Tensor.h"

namespace arcshard::worker {

// A tensor of a model and its name in a checkpoint ("layer1.0.bn1.weight"). Copies share the tensor.
struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

}  // namespace arcshard::worker
