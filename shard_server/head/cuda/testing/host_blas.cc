#include <cublas_v2.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "shard_server/head/arithmetic/bfloat16.h"
#include "shard_server/head/cuda/testing/host_gpu.h"

// cuBLAS's product for tests. Every element is added up in order of depth, so it depends neither on where in memory the
// matrices lie nor on how many columns are computed together.
struct cublasContext {
  cudaStream_t stream = nullptr;
  bool has_workspace = false;
};

namespace arcshard::head {
namespace {

// A factor as cuBLAS is given it: column-major.
struct Factor {
  const void* data;
  cudaDataType_t type;
  int64_t leading;
  bool transposed;

  float At(int64_t row, int64_t column) const {
    const int64_t i = transposed ? row * leading + column : column * leading + row;
    return type == CUDA_R_16BF ? Widen(static_cast<const Bfloat16*>(data)[i]) : static_cast<const float*>(data)[i];
  }
  bool IsValid(int64_t rows, int64_t columns) const {
    return leading >= std::max<int64_t>(transposed ? columns : rows, 1);
  }
};

struct Product {
  int64_t rows, columns, depth;
  Factor a, b;
  float alpha, beta;
  float* c;
  int64_t leading;

  void Compute() const {
    std::vector<float> left(static_cast<size_t>(rows * depth)), sum(static_cast<size_t>(rows));
    for (int64_t k = 0; k < depth; ++k) {
      for (int64_t i = 0; i < rows; ++i) left[static_cast<size_t>(k * rows + i)] = a.At(i, k);
    }
    for (int64_t j = 0; j < columns; ++j) {
      std::fill(sum.begin(), sum.end(), 0.0f);
      for (int64_t k = 0; k < depth; ++k) AddColumn(b.At(k, j), &left[static_cast<size_t>(k * rows)], sum.data());
      float* const to = c + j * leading;
      // Where beta is 0, what c holds doesn't count, not even a NaN.
      for (int64_t i = 0; i < rows; ++i) to[i] = alpha * sum[static_cast<size_t>(i)] + (beta == 0 ? 0 : beta * to[i]);
    }
  }
  void AddColumn(float factor, const float* column, float* sum) const {
    for (int64_t i = 0; i < rows; ++i) sum[i] += factor * column[i];
  }
};

}  // namespace
}  // namespace arcshard::head

const char* cublasGetStatusString(cublasStatus_t status) {
  switch (status) {
    case CUBLAS_STATUS_SUCCESS:
      return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED:
      return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_ALLOC_FAILED:
      return "CUBLAS_STATUS_ALLOC_FAILED";
    case CUBLAS_STATUS_INVALID_VALUE:
      return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_NOT_SUPPORTED:
      return "CUBLAS_STATUS_NOT_SUPPORTED";
  }
  return "unknown";
}
cublasStatus_t cublasCreate(cublasHandle_t* handle) {
  *handle = new cublasContext;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasDestroy(cublasHandle_t handle) {
  delete handle;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
  *handle = {stream, /*has_workspace=*/false};
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void* workspace, size_t bytes) {
  handle->has_workspace = workspace != nullptr && bytes > 0;
  return CUBLAS_STATUS_SUCCESS;
}
cublasStatus_t cublasSetMathMode(cublasHandle_t, cublasMath_t) { return CUBLAS_STATUS_SUCCESS; }
cublasStatus_t cublasSetPointerMode(cublasHandle_t, cublasPointerMode_t) { return CUBLAS_STATUS_SUCCESS; }

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t of_a, cublasOperation_t of_b, int m, int n, int k,
                            const void* alpha, const void* a, cudaDataType_t type_a, int lda, const void* b,
                            cudaDataType_t type_b, int ldb, const void* beta, void* c, cudaDataType_t type_c, int ldc,
                            cublasComputeType_t, cublasGemmAlgo_t) {
  using arcshard::head::Require;
  Require(handle->has_workspace, "a handle has its own workspace, or products need not give the same bits");
  if (type_a != type_b || type_c != CUDA_R_32F) return CUBLAS_STATUS_NOT_SUPPORTED;
  const arcshard::head::Product product = {m,
                                           n,
                                           k,
                                           {a, type_a, lda, of_a == CUBLAS_OP_T},
                                           {b, type_b, ldb, of_b == CUBLAS_OP_T},
                                           *static_cast<const float*>(alpha),
                                           *static_cast<const float*>(beta),
                                           static_cast<float*>(c),
                                           ldc};
  if (m < 0 || n < 0 || k < 0 || !product.a.IsValid(m, k) || !product.b.IsValid(k, n) || ldc < std::max(m, 1)) {
    return CUBLAS_STATUS_INVALID_VALUE;
  }
  return arcshard::head::QueueWork(handle->stream, [product] { product.Compute(); }) == cudaSuccess
             ? CUBLAS_STATUS_SUCCESS
             : CUBLAS_STATUS_NOT_INITIALIZED;
}
