#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_check.h"

namespace arcshard::head {

// A stream of the current device. It does not synchronise with the legacy default stream.
class CudaStream {
 public:
  static absl::StatusOr<CudaStream> Create() {
    CudaStream stream;
    RETURN_IF_ERROR(CUDA_STATUS(cudaStreamCreateWithFlags(&stream.stream_, cudaStreamNonBlocking)));
    return stream;
  }
  CudaStream() = default;
  CudaStream(CudaStream&& other) noexcept : stream_(std::exchange(other.stream_, nullptr)) {}
  CudaStream& operator=(CudaStream&& other) noexcept {
    std::swap(stream_, other.stream_);
    return *this;
  }
  ~CudaStream() {
    if (stream_ != nullptr) cudaStreamDestroy(stream_);
  }

  cudaStream_t get() const { return stream_; }

  // Queues a copy between host and device or within the device. Memory of the host should be page-locked and must stay
  // valid until Synchronize returns.
  absl::Status Copy(void* to, const void* from, int64_t bytes) const {
    if (bytes == 0) return absl::OkStatus();
    return CUDA_STATUS(cudaMemcpyAsync(to, from, static_cast<size_t>(bytes), cudaMemcpyDefault, stream_));
  }

  // Queues a fill with zeros.
  absl::Status Zero(void* to, int64_t bytes) const {
    if (bytes == 0) return absl::OkStatus();
    return CUDA_STATUS(cudaMemsetAsync(to, 0, static_cast<size_t>(bytes), stream_));
  }

  // Waits until everything queued is done. Returns any error of a kernel since the last call.
  absl::Status Synchronize() const { return CUDA_STATUS(cudaStreamSynchronize(stream_)); }

 private:
  cudaStream_t stream_ = nullptr;
};

}  // namespace arcshard::head
