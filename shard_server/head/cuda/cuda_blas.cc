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
  // After the stream, because setting the stream resets the workspace.
  RETURN_IF_ERROR(
      CUBLAS_STATUS(cublasSetWorkspace(blas->handle_, blas->workspace_.data(), static_cast<size_t>(kWorkspaceBytes))));
  RETURN_IF_ERROR(CUBLAS_STATUS(cublasSetMathMode(blas->handle_, CUBLAS_DEFAULT_MATH)));
  RETURN_IF_ERROR(CUBLAS_STATUS(cublasSetPointerMode(blas->handle_, CUBLAS_POINTER_MODE_HOST)));
  return blas;
}

CudaBlas::~CudaBlas() {
  if (handle_ != nullptr) cublasDestroy(handle_);
}

absl::Status CudaBlas::Product(const Factor& a, const Factor& b, int64_t depth, const Result& c) {
  const float one = 1.0f;
  return CUBLAS_STATUS(cublasGemmEx(handle_, a.operation, b.operation, static_cast<int>(c.rows),
                                    static_cast<int>(c.columns), static_cast<int>(depth), &one, a.values.data,
                                    TypeOf(a.values), static_cast<int>(a.leading), b.values.data, TypeOf(b.values),
                                    static_cast<int>(b.leading), &c.beta, c.values, CUDA_R_32F,
                                    static_cast<int>(c.leading), CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT));
}

// A row-major matrix is its transpose in column-major order, so each product is computed as the product of the
// transposed factors in reverse order.

absl::Status CudaBlas::ProductOfCosines(const CudaBlockShape& shape, ConstValues w, ConstValues e, float* s) {
  return Product({e, CUBLAS_OP_T, shape.dim}, {w, CUBLAS_OP_N, shape.dim}, shape.dim,
                 {s, shape.samples, shape.rows, shape.stride, 0.0f});
}

absl::Status CudaBlas::AddWeightedCenters(const CudaBlockShape& shape, ConstValues q, ConstValues w, float* u) {
  return Product({w, CUBLAS_OP_N, shape.dim}, {q, CUBLAS_OP_T, shape.stride}, shape.rows,
                 {u, shape.dim, shape.samples, shape.dim, 1.0f});
}

absl::Status CudaBlas::ProductOfGradient(const CudaBlockShape& shape, ConstValues q, ConstValues e, bool accumulate,
                                         float* h) {
  return Product({e, CUBLAS_OP_N, shape.dim}, {q, CUBLAS_OP_N, shape.stride}, shape.samples,
                 {h, shape.dim, shape.rows, shape.dim, accumulate ? 1.0f : 0.0f});
}

}  // namespace arcshard::head
