#include "shard_server/head/cuda/cuda_head.h"
#include "shard_server/head/gpu.h"

namespace arcshard::head {

// In place of cuda_create.cc: blocks so small that the few classes of a test make several.
absl::StatusOr<std::unique_ptr<Head>> CreateGpuHead(const HeadOptions& options) {
  return CudaHead::Create(options, /*block_rows=*/64);
}

}  // namespace arcshard::head
