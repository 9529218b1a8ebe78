#pragma once

#include "ATen/core/Tensor.h"
#include "absl/types/span.h"
#include "worker/backbone/layers/named_tensor.h"

namespace arcshard::worker {

// Moves the parameters into one buffer (P float32 values, 1-D, in order), of which each becomes a view, and returns it:
// an optimizer then makes one vectorised pass over it. Handles that layers hold see the new place. Values are kept.
at::Tensor FlattenParameters(absl::Span<const NamedTensor> parameters);

}  // namespace arcshard::worker
