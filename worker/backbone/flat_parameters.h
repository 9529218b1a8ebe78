#pragma once

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "worker/backbone/layers/named_tensor.h"

namespace arcshard::worker {

// Moves the parameters, which are float32, to one buffer (P values, 1-D, in order), so that each parameter is a view of
// it, and returns the buffer, which an optimizer updates in one vectorised pass. The layers' tensors move too, because
// they are handles to the same tensors.
at::Tensor FlattenParameters(absl::Span<const NamedTensor> parameters);

}  // namespace arcshard::worker
