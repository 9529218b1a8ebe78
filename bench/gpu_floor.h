#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "bench/head_floor.h"

namespace arcshard::bench {

// HeadFloor on GPU options.device_index: products by cuBLAS, in float32 without TF32; every part waits for the device
// at its end. The active rows lie one after the other. Unimplemented: a build without GPU code.
absl::StatusOr<std::unique_ptr<HeadFloor>> CreateGpuFloor(const head::HeadOptions& options, int64_t batch,
                                                          int64_t active_rows);

}  // namespace arcshard::bench
