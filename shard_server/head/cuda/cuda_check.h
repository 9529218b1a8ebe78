#pragma once

#include <cublas_v2.h>
#include <cuda_runtime_api.h>

#include "absl/status/status.h"

// Every call into CUDA goes through one of these. A failed call becomes a status that names the call, its place in the
// source and the device.
namespace arcshard::head {

// ResourceExhausted: the device has too little memory. Internal: any other error.
absl::Status CudaStatus(cudaError_t error, const char* call, const char* file, int line);
absl::Status CublasStatus(cublasStatus_t status, const char* call, const char* file, int line);

}  // namespace arcshard::head

// CUDA_STATUS(cudaFunction(...)): an absl::Status.
#define CUDA_STATUS(call) ::arcshard::head::CudaStatus((call), #call, __FILE__, __LINE__)
#define CUBLAS_STATUS(call) ::arcshard::head::CublasStatus((call), #call, __FILE__, __LINE__)
