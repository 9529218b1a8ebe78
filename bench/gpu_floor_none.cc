#include "bench/gpu_floor.h"
#include "common/base/status_macros.h"
#include "shard_server/head/gpu.h"

namespace arcshard::bench {

absl::StatusOr<std::unique_ptr<HeadFloor>> CreateGpuFloor(const head::HeadOptions& options, int64_t, int64_t) {
  RETURN_IF_ERROR(head::CheckGpu(options.device_index));
  return absl::UnimplementedError("this build has no code for GPUs");
}

}  // namespace arcshard::bench
