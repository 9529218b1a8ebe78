#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <functional>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

// A GPU for tests: the runtime's calls that the head makes, carried out by the processor of the host. It is as
// forgetful, as late and as strict as a GPU may be:
// - New memory holds bytes of 0xff: NaN as a float, -1 as an index. Under AddressSanitizer the host's code cannot touch
//   the device's memory.
// - What is queued on a stream happens when somebody waits for the stream, not before. Streams don't wait for each
//   other.
// - A copy that leaves an allocation, a grid that is too large and a matrix whose columns overlap are refused.
namespace arcshard::head {

// The memory of the GPU.
constexpr int64_t kHostGpuBytes = int64_t{4} << 30;

// Queues `work` on the stream. Errors: the stream has none.
cudaError_t QueueWork(cudaStream_t stream, std::function<void()> work);

// Ends the process unless `condition` holds: what the head's code must never do to a GPU.
void Require(bool condition, absl::string_view rule);

// The blocks and threads of a launch.
struct HostGrid {
  unsigned x = 0;
  unsigned y = 0;
  unsigned threads = 0;  // of a block

  bool IsValid() const;  // within the limits of GPUs, and of whole warps
  void ForEachWarp(absl::FunctionRef<void(unsigned x, unsigned y, unsigned first_thread)> run) const;
};

// From now on warps run in the opposite order. No result may depend on it.
void RunWarpsBackwards(bool backwards);

}  // namespace arcshard::head
