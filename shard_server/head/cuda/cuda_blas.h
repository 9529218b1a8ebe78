#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "shard_server/head/cuda/cuda_buffer.h"
#include "shard_server/head/cuda/cuda_kernels.h"

namespace arcshard::head {

// The shape of a product: a block of classes by a group of samples.
struct CudaBlockShape {
  int64_t rows = 0;     // of the block
  int64_t samples = 0;  // of the group
  int64_t dim = 0;
  int64_t stride = 0;  // between rows of S and Q, at least `samples`
};

// The three products of a head on a GPU, row-major, as products.h has them for the CPU: factors in float32 or bfloat16,
// sums and results in float32, without TF32. Each object has its own handle and workspace and one stream, because only
// then does cuBLAS give the same bits for the same shapes.
class CudaBlas {
 public:
  // ResourceExhausted: no memory.
  static absl::StatusOr<std::unique_ptr<CudaBlas>> Create(cudaStream_t stream);
  ~CudaBlas();
  CudaBlas(const CudaBlas&) = delete;
  CudaBlas& operator=(const CudaBlas&) = delete;

  // Bytes of the workspace.
  static constexpr int64_t kWorkspaceBytes = int64_t{32} << 20;

  // s (rows×stride; only `samples` columns are written) <- w (rows×dim) · e (samples×dim)^T
  absl::Status ProductOfCosines(const CudaBlockShape& shape, ConstValues w, ConstValues e, float* s);

  // u (samples×dim) <- u + q (rows×stride)^T · w (rows×dim)
  absl::Status AddWeightedCenters(const CudaBlockShape& shape, ConstValues q, ConstValues w, float* u);

  // h (rows×dim) <- q (rows×stride) · e (samples×dim), or h + q·e where `accumulate`
  absl::Status ProductOfGradient(const CudaBlockShape& shape, ConstValues q, ConstValues e, bool accumulate, float* h);

 private:
  // A factor and a result as cuBLAS reads them: column-major, `leading` values between columns.
  struct Factor {
    ConstValues values;
    cublasOperation_t operation;
    int64_t leading;
  };
  struct Result {
    float* values;
    int64_t rows;
    int64_t columns;
    int64_t leading;
    float beta;  // 0: overwritten; 1: the product is added
  };

  CudaBlas() = default;
  // c <- a·b + beta·c, where a has `depth` columns.
  absl::Status Product(const Factor& a, const Factor& b, int64_t depth, const Result& c);

  cublasHandle_t handle_ = nullptr;
  CudaBuffer workspace_;
};

}  // namespace arcshard::head
