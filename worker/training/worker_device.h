#pragma once

#include "absl/status/status.h"

namespace arcshard::worker {

// Prepares this process to compute on GPU `index`, which becomes the current device of the calling thread. Products and
// convolutions of float32 don't use TF32. Unimplemented: this build has no code for GPUs. NotFound: this machine has no
// such GPU; says why or how many it has.
absl::Status UseGpu(int index);

}  // namespace arcshard::worker
