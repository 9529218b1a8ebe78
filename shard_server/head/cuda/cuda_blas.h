#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_memory.h"

namespace arcshard::head {

// The three products of a head on a GPU, row-major, as blas.h has them for the CPU: factors in float32 or bfloat16,
// sums and results in float32, without TF32. A handle of its own with a workspace of its own and one stream: then
// cuBLAS gives the same bits for the same shapes.
class CudaBlas {
 public:
  // ResourceExhausted: no memory.
  static absl::StatusOr<std::unique_ptr<CudaBlas>> Create(cudaStream_t stream);
  ~CudaBlas();
  CudaBlas(const CudaBlas&) = delete;
  CudaBlas& operator=(const CudaBlas&) = delete;

  // Bytes of its workspace.
  static constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;

  // s (rows×stride, of which `samples` columns are written) <- w (rows×dim) · e (samples×dim)^T
  absl::Status ProductOfCosines(int64_t rows, int64_t samples, int64_t dim, ConstValues w, ConstValues e, float* s,
                                int64_t stride);

  // u (samples×dim) <- u + q (rows×stride)^T · w (rows×dim)
  absl::Status AddWeightedCenters(int64_t rows, int64_t samples, int64_t dim, ConstValues q, int64_t stride,
                                  ConstValues w, float* u);

  // h (rows×dim) <- q (rows×stride) · e (samples×dim), or h + that where `accumulate`
  absl::Status ProductOfGradient(int64_t rows, int64_t samples, int64_t dim, ConstValues q, int64_t stride,
                                 ConstValues e, bool accumulate, float* h);

 private:
  // A factor in cuBLAS's column-major eyes.
  struct Factor {
    ConstValues values;
    cublasOperation_t operation;
    int64_t leading;
  };

  CudaBlas() = default;
  // c (m×n, column-major) <- a·b + beta·c
  absl::Status Product(int64_t m, int64_t n, int64_t k, const Factor& a, const Factor& b, float beta, float* c,
                       int64_t leading);

  cublasHandle_t handle_ = nullptr;
  DeviceMemory workspace_;
};

}  // namespace arcshard::head
