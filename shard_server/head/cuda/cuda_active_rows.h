#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_memory.h"
#include "shard_server/head/cuda/cuda_stream.h"

namespace arcshard::head {

// The rows of a shard that take part in a sampled step, found on the device: 8 bytes for each of them, nothing for the
// others. Thread-compatible.
class CudaActiveRows {
 public:
  // Those of step `step`: the rows that are drawn and those of `labels`, which were checked. Waits for the stream.
  // ResourceExhausted: no memory.
  absl::Status Find(const HeadOptions& options, uint64_t step, absl::Span<const int64_t> labels,
                    const CudaStream& stream);

  // The label was not among Find's.
  bool Unannounced(int64_t label) const;

  int64_t size() const { return size_; }
  ActiveRows rows() const { return {list_.as<int64_t>()}; }

 private:
  int64_t size_ = 0;
  std::vector<int64_t> labels_;  // of the step, sorted, each once
  DeviceMemory list_;            // int64
  DeviceMemory targets_;         // int64
  DeviceMemory chunks_;          // int64: counts, then offsets
  PinnedMemory host_;            // both
};

}  // namespace arcshard::head
