#pragma once

#include <memory>
#include <type_traits>

#include "ATen/core/Tensor.h"
#include "c10/util/intrusive_ptr.h"
#include "torch/csrc/autograd/function.h"

namespace arcshard::worker {

// Makes a BackwardNode of `arguments`, which derives from torch::autograd::Node, the one that `result` came from.
// LibTorch 2.15 counts the references to a node in the node, 2.11 beside it.
template <typename BackwardNode, typename... Arguments>
void SetGradientNode(at::Tensor& result, const Arguments&... arguments) {
  if constexpr (std::is_base_of_v<c10::intrusive_ptr_target, BackwardNode>) {
    torch::autograd::create_gradient_edge(result, c10::make_intrusive<BackwardNode>(arguments...));
  } else {
    torch::autograd::create_gradient_edge(result, std::make_shared<BackwardNode>(arguments...));
  }
}

}  // namespace arcshard::worker
