#pragma once

#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace arcshard::worker {

// Does the work of one batch. Each thread has its own, which may keep buffers from batch to batch.
using BatchWork = std::function<absl::Status(int64_t batch)>;

// Does the work of the batches 0, 1, ..., `batches` - 1, in this order, on `threads` new threads, in each of which
// LibTorch uses no others. `after` is called by the calling thread whenever further batches are done, with how many
// are; null: it is not called. After an error no batch is begun any more. Returns the error of `after`, or that of the
// lowest batch that failed.
absl::Status RunBatches(int threads, int64_t batches, const std::function<BatchWork()>& new_work,
                        const std::function<absl::Status(int64_t done)>& after);

}  // namespace arcshard::worker
