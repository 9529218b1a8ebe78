#include "shard_server/head/cuda/cuda_head.h"
#include "shard_server/head/gpu.h"

namespace arcshard::head {

absl::StatusOr<std::unique_ptr<Head>> CreateGpuHead(const HeadOptions& options) {
  return CudaHead::Create(options, CudaHead::RowsOfBlock(options.dim));
}

}  // namespace arcshard::head
