#include "shard_server/head/cuda/cuda_buffer.h"

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_check.h"

namespace arcshard::head {
namespace {

// A buffer grows by at least half, so that a slowly growing batch doesn't reallocate it each time.
int64_t GrownSize(int64_t old_bytes, int64_t bytes) { return old_bytes == 0 ? bytes : bytes + bytes / 2; }

absl::Status NoMemory(const absl::Status& status, absl::string_view what, int64_t bytes) {
  return Annotate(status, absl::StrCat("no memory for ", what, " (", bytes, " bytes)"));
}

}  // namespace

CudaBuffer::~CudaBuffer() {
  // An error here is one of an earlier call, which has been reported.
  if (data_ != nullptr) cudaFree(data_);
}

absl::Status CudaBuffer::Reserve(int64_t bytes, absl::string_view what) {
  if (bytes <= bytes_) return absl::OkStatus();
  const int64_t size = GrownSize(bytes_, bytes);
  *this = CudaBuffer();
  if (const absl::Status status = CUDA_STATUS(cudaMalloc(&data_, static_cast<size_t>(size))); !status.ok()) {
    data_ = nullptr;
    return NoMemory(status, what, size);
  }
  bytes_ = size;
  return absl::OkStatus();
}

PinnedBuffer::~PinnedBuffer() {
  if (data_ != nullptr) cudaFreeHost(data_);
}

absl::Status PinnedBuffer::Reserve(int64_t bytes, absl::string_view what) {
  if (bytes <= bytes_) return absl::OkStatus();
  const int64_t size = GrownSize(bytes_, bytes);
  *this = PinnedBuffer();
  if (const absl::Status status = CUDA_STATUS(cudaMallocHost(&data_, static_cast<size_t>(size))); !status.ok()) {
    data_ = nullptr;
    return NoMemory(status, what, size);
  }
  bytes_ = size;
  return absl::OkStatus();
}

}  // namespace arcshard::head
