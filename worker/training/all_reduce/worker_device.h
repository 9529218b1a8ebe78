#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace arcshard::worker {

// Prepares this process to compute on GPU `index`, which becomes the current device of the calling thread. Products and
// convolutions of float32 don't use TF32. Unimplemented: this build has no GPU code. NotFound: this machine has no such
// GPU; says why, or how many it has.
absl::Status UseGpu(int index);

// Bytes of GPU `index` that all processes together use now. Unimplemented: as UseGpu. Internal: the driver refuses.
absl::StatusOr<int64_t> UsedGpuBytes(int index);

}  // namespace arcshard::worker
