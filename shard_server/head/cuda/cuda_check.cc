#include "shard_server/head/cuda/cuda_check.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace arcshard::head {
namespace {

// "cudaStreamSynchronize at shard_server/head/cuda/cuda_head.cc:42 on cuda:0": the call without its arguments, and its
// place.
std::string Place(absl::string_view call, absl::string_view file, int line) {
  int device = -1;
  cudaGetDevice(&device);
  const size_t folder = file.rfind("shard_server/");
  if (folder != absl::string_view::npos) file = file.substr(folder);
  return absl::StrCat(call.substr(0, call.find('(')), " at ", file, ":", line,
                      device < 0 ? "" : absl::StrCat(" on cuda:", device));
}

}  // namespace

absl::Status CudaStatus(cudaError_t error, const char* call, const char* file, int line) {
  if (error == cudaSuccess) return absl::OkStatus();
  const std::string message =
      absl::StrCat("CUDA: ", cudaGetErrorString(error), " (", cudaGetErrorName(error), "), ", Place(call, file, line));
  cudaGetLastError();  // clears the error, or the next check would report it again
  if (error == cudaErrorMemoryAllocation) return absl::ResourceExhaustedError(message);
  return absl::InternalError(message);
}

absl::Status CublasStatus(cublasStatus_t status, const char* call, const char* file, int line) {
  if (status == CUBLAS_STATUS_SUCCESS) return absl::OkStatus();
  const std::string message = absl::StrCat("cuBLAS: ", cublasGetStatusString(status), ", ", Place(call, file, line));
  if (status == CUBLAS_STATUS_ALLOC_FAILED) return absl::ResourceExhaustedError(message);
  return absl::InternalError(message);
}

}  // namespace arcshard::head
