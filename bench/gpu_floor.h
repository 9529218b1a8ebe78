#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "bench/head_floor.h"

namespace arcshard::bench {

// A HeadFloor on GPU options.device_index: products by cuBLAS, without TF32. Every part waits for the device at its
// end. The active rows are contiguous. Unimplemented: this build has no GPU code.
absl::StatusOr<std::unique_ptr<HeadFloor>> CreateGpuFloor(const head::HeadOptions& options, int64_t batch,
                                                          int64_t active_rows);

}  // namespace arcshard::bench
