#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "shard_server/head/cuda/cuda_buffer.h"
#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_stream.h"
#include "shard_server/head/label_set.h"

namespace arcshard::head {

// The rows of a shard that take part in a sampled step (Partial FC, docs/design.md §1), found on the device. The list
// takes 8 bytes for each of these rows and nothing for the others. Thread-compatible.
class CudaActiveRows {
 public:
  // Finds the rows of step `step`: those that are drawn and those in `labels`. Waits for the stream.
  // ResourceExhausted: no memory.
  absl::Status Find(const HeadOptions& options, uint64_t step, const LabelSet& labels, const CudaStream& stream);

  int64_t size() const { return size_; }
  ActiveRows rows() const { return {list_.as<int64_t>()}; }

 private:
  int64_t size_ = 0;
  CudaBuffer list_;     // int64: the rows that take part, ascending
  CudaBuffer targets_;  // int64: the rows of the labels
  CudaBuffer chunks_;   // int64: the count of each chunk, then its offset
  PinnedBuffer host_;   // targets and chunks on the host
};

}  // namespace arcshard::head
