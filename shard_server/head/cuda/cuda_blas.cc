#include "shard_server/head/cuda/cuda_blas.h"

#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_check.h"

namespace arcshard::head {
namespace {

cudaDataType_t TypeOf(ConstValues values) { return values.type == DataType::kBfloat16 ? CUDA_R_16BF : CUDA_R_32F; }

}  // namespace

absl::StatusOr<std::unique_ptr<CudaBlas>> CudaBlas::Create(cudaStream_t stream) {
  std::unique_ptr<CudaBlas> blas(new CudaBlas);
  RETURN_IF_ERROR(blas->workspace_.Reserve(kWorkspaceBytes, "cuBLAS's workspace"));
  RETURN_IF_ERROR(CUBLAS_STATUS(cublasCreate(&blas->handle_)));
  RETURN_IF_ERROR(CUBLAS_STATUS(cublasSetStream(blas->handle_, stream)));
  // After the stream: setting that takes the workspace back.
  RETURN_IF_ERROR(
      CUBLAS_STATUS(cublasSetWorkspace(blas->handle_, blas->workspace_.data(), static_cast<size_t>(kWorkspaceBytes))));
  RETURN_IF_ERROR(CUBLAS_STATUS(cublasSetMathMode(blas->handle_, CUBLAS_DEFAULT_MATH)));
  RETURN_IF_ERROR(CUBLAS_STATUS(cublasSetPointerMode(blas->handle_, CUBLAS_POINTER_MODE_HOST)));
  return blas;
}

CudaBlas::~CudaBlas() {
  if (handle_ != nullptr) cublasDestroy(handle_);
}

absl::Status CudaBlas::Product(int64_t m, int64_t n, int64_t k, const Factor& a, const Factor& b, float beta, float* c,
                               int64_t leading) {
  const float one = 1.0f;
  return CUBLAS_STATUS(cublasGemmEx(handle_, a.operation, b.operation, static_cast<int>(m), static_cast<int>(n),
                                    static_cast<int>(k), &one, a.values.data, TypeOf(a.values),
                                    static_cast<int>(a.leading), b.values.data, TypeOf(b.values),
                                    static_cast<int>(b.leading), &beta, c, CUDA_R_32F, static_cast<int>(leading),
                                    CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

// A row-major matrix is the transposed one in column-major order, so each product is that of the transposed factors in
// the other order.

absl::Status CudaBlas::ProductOfCosines(int64_t rows, int64_t samples, int64_t dim, ConstValues w, ConstValues e,
                                        float* s, int64_t stride) {
  return Product(samples, rows, dim, {e, CUBLAS_OP_T, dim}, {w, CUBLAS_OP_N, dim}, 0.0f, s, stride);
}

absl::Status CudaBlas::AddWeightedCenters(int64_t rows, int64_t samples, int64_t dim, ConstValues q, int64_t stride,
                                          ConstValues w, float* u) {
  return Product(dim, samples, rows, {w, CUBLAS_OP_N, dim}, {q, CUBLAS_OP_T, stride}, 1.0f, u, dim);
}

absl::Status CudaBlas::ProductOfGradient(int64_t rows, int64_t samples, int64_t dim, ConstValues q, int64_t stride,
                                         ConstValues e, bool accumulate, float* h) {
  return Product(dim, rows, samples, {e, CUBLAS_OP_N, dim}, {q, CUBLAS_OP_N, stride}, accumulate ? 1.0f : 0.0f, h, dim);
}

}  // namespace arcshard::head
