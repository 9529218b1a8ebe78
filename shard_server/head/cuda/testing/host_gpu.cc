#include "shard_server/head/cuda/testing/host_gpu.h"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <deque>
#include <iterator>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "common/base/mutex.h"

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#define ASAN_UNPOISON_MEMORY_REGION(address, size) (static_cast<void>(address), static_cast<void>(size))
#endif

// Only the queue's owner and the device hold it.
struct CUstream_st {
  std::deque<std::function<void()>> work;
};

namespace arcshard::head {
namespace {

constexpr int64_t kAlignment = 256;
// Larger allocations are neither filled nor kept from the host: cuBLAS's workspace, which nothing uses.
constexpr size_t kLarge = size_t{16} << 20;

std::atomic<bool> backwards = false;

struct Allocation {
  size_t bytes = 0;
  bool of_device = false;
};

// Work runs under the lock, so that streams that several threads wait for take turns.
class HostGpu {
 public:
  static HostGpu& Get() {
    static HostGpu& gpu = *new HostGpu;
    return gpu;
  }

  cudaError_t Allocate(void** memory, size_t bytes, bool of_device) {
    MutexLock lock(&mutex_);
    if (of_device && used_ + static_cast<int64_t>(bytes) > kHostGpuBytes) return cudaErrorMemoryAllocation;
    if (posix_memalign(memory, kAlignment, bytes) != 0) return cudaErrorMemoryAllocation;
    allocations_[Address(*memory)] = {bytes, of_device};
    if (of_device) used_ += static_cast<int64_t>(bytes);
    if (bytes <= kLarge) std::memset(*memory, 0xff, bytes);
    if (of_device && bytes <= kLarge) ASAN_POISON_MEMORY_REGION(*memory, bytes);
    return cudaSuccess;
  }

  // As on a GPU, everything that is queued happens first.
  cudaError_t Free(void* memory, bool of_device) {
    MutexLock lock(&mutex_);
    for (const cudaStream_t stream : streams_) Finish(stream);
    const auto allocation = allocations_.find(Address(memory));
    if (allocation == allocations_.end() || allocation->second.of_device != of_device) return cudaErrorInvalidValue;
    if (of_device) {
      used_ -= static_cast<int64_t>(allocation->second.bytes);
      ASAN_UNPOISON_MEMORY_REGION(memory, allocation->second.bytes);
    }
    allocations_.erase(allocation);
    std::free(memory);
    return cudaSuccess;
  }

  int64_t used() {
    MutexLock lock(&mutex_);
    return used_;
  }

  cudaStream_t AddStream() {
    MutexLock lock(&mutex_);
    return *streams_.insert(new CUstream_st).first;
  }
  void RemoveStream(cudaStream_t stream) {
    MutexLock lock(&mutex_);
    Finish(stream);
    streams_.erase(stream);
    delete stream;
  }
  cudaError_t Queue(cudaStream_t stream, std::function<void()> work) {
    MutexLock lock(&mutex_);
    if (!streams_.contains(stream)) return cudaErrorInvalidValue;
    stream->work.push_back(std::move(work));
    return cudaSuccess;
  }
  cudaError_t Synchronize(cudaStream_t stream) {
    MutexLock lock(&mutex_);
    if (!streams_.contains(stream)) return cudaErrorInvalidValue;
    Finish(stream);
    return cudaSuccess;
  }

  // Whether the bytes lie within one allocation, or in memory that was not allocated here.
  bool Contains(const void* memory, size_t bytes) {
    MutexLock lock(&mutex_);
    const uintptr_t begin = Address(memory);
    const auto next = allocations_.upper_bound(begin);
    if (next != allocations_.end() && next->first < begin + bytes) return false;
    if (next == allocations_.begin()) return true;
    const auto& [first, allocation] = *std::prev(next);
    return begin >= first + allocation.bytes || begin + bytes <= first + allocation.bytes;
  }

 private:
  static uintptr_t Address(const void* memory) { return reinterpret_cast<uintptr_t>(memory); }

  void Finish(cudaStream_t stream) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (stream->work.empty()) return;
    ForEachOfDevice([](void* memory, size_t bytes) { ASAN_UNPOISON_MEMORY_REGION(memory, bytes); });
    for (; !stream->work.empty(); stream->work.pop_front()) stream->work.front()();
    ForEachOfDevice([](void* memory, size_t bytes) { ASAN_POISON_MEMORY_REGION(memory, bytes); });
  }
  void ForEachOfDevice(absl::FunctionRef<void(void*, size_t)> call) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    for (const auto& [address, allocation] : allocations_) {
      if (allocation.of_device && allocation.bytes <= kLarge) call(reinterpret_cast<void*>(address), allocation.bytes);
    }
  }

  Mutex mutex_;
  std::map<uintptr_t, Allocation> allocations_ ABSL_GUARDED_BY(mutex_);
  std::set<cudaStream_t> streams_ ABSL_GUARDED_BY(mutex_);
  int64_t used_ ABSL_GUARDED_BY(mutex_) = 0;  // by allocations of the device
};

thread_local int current_device = 0;

}  // namespace

cudaError_t QueueWork(cudaStream_t stream, std::function<void()> work) {
  return HostGpu::Get().Queue(stream, std::move(work));
}

void Require(bool condition, absl::string_view rule) {
  if (condition) return;
  std::fprintf(stderr, "the GPU's code broke a rule: %s\n", std::string(rule).c_str());
  std::abort();
}

bool HostGrid::IsValid() const {
  return x > 0 && x <= 0x7fffffff && y > 0 && y <= 65535 && threads > 0 && threads <= 1024 && threads % 32 == 0;
}

void HostGrid::ForEachWarp(absl::FunctionRef<void(unsigned x, unsigned y, unsigned first_thread)> run) const {
  const uint64_t in_block = threads / 32, warps = uint64_t{x} * y * in_block;
  for (uint64_t i = 0; i < warps; ++i) {
    const uint64_t warp = backwards ? warps - 1 - i : i, block = warp / in_block;
    run(static_cast<unsigned>(block % x), static_cast<unsigned>(block / x),
        static_cast<unsigned>(warp % in_block * 32));
  }
}

void RunWarpsBackwards(bool value) { backwards = value; }

}  // namespace arcshard::head

using arcshard::head::HostGpu;
using arcshard::head::kHostGpuBytes;

const char* cudaGetErrorName(cudaError_t error) {
  switch (error) {
    case cudaSuccess:
      return "cudaSuccess";
    case cudaErrorInvalidValue:
      return "cudaErrorInvalidValue";
    case cudaErrorMemoryAllocation:
      return "cudaErrorMemoryAllocation";
    case cudaErrorInvalidConfiguration:
      return "cudaErrorInvalidConfiguration";
    case cudaErrorInsufficientDriver:
      return "cudaErrorInsufficientDriver";
    case cudaErrorInvalidDevice:
      return "cudaErrorInvalidDevice";
  }
  return "unknown";
}
const char* cudaGetErrorString(cudaError_t error) {
  return error == cudaErrorMemoryAllocation ? "out of memory" : cudaGetErrorName(error);
}
cudaError_t cudaGetLastError() { return cudaSuccess; }

cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int* version) { return cudaDriverGetVersion(version); }
cudaError_t cudaGetDeviceCount(int* count) {
  *count = 1;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* device) {
  *device = arcshard::head::current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int device) { return device == 0 ? cudaSuccess : cudaErrorInvalidDevice; }
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int device) {
  if (device != 0) return cudaErrorInvalidDevice;
  *properties = {"the host's processor", {{'a', 'r', 'c', 's', 'h', 'a', 'r', 'd'}}, size_t{kHostGpuBytes}};
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(size_t* free, size_t* total) {
  *free = static_cast<size_t>(kHostGpuBytes - HostGpu::Get().used());
  *total = static_cast<size_t>(kHostGpuBytes);
  return cudaSuccess;
}

cudaError_t cudaMalloc(void** memory, size_t bytes) { return HostGpu::Get().Allocate(memory, bytes, true); }
cudaError_t cudaFree(void* memory) { return HostGpu::Get().Free(memory, true); }
cudaError_t cudaMallocHost(void** memory, size_t bytes) { return HostGpu::Get().Allocate(memory, bytes, false); }
cudaError_t cudaFreeHost(void* memory) { return HostGpu::Get().Free(memory, false); }

cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned) {
  *stream = HostGpu::Get().AddStream();
  return cudaSuccess;
}
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  HostGpu::Get().RemoveStream(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t stream) { return HostGpu::Get().Synchronize(stream); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, cudaMemcpyKind, cudaStream_t stream) {
  if (!HostGpu::Get().Contains(to, bytes) || !HostGpu::Get().Contains(from, bytes)) return cudaErrorInvalidValue;
  return arcshard::head::QueueWork(stream, [=] { std::memcpy(to, from, bytes); });
}
cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  if (!HostGpu::Get().Contains(to, bytes)) return cudaErrorInvalidValue;
  return arcshard::head::QueueWork(stream, [=] { std::memset(to, value, bytes); });
}
