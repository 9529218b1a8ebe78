#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "shard_server/head/cpu/block_ops.h"
#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_memory.h"
#include "shard_server/head/cuda/cuda_stream.h"
#include "shard_server/head/head.h"

namespace arcshard::head {

// Where the inputs of a pass lie in one buffer, the same on the host and on the device, so that one copy brings them
// over. Offsets in bytes, each at a 256-byte boundary. `slots` are samples and the padding between groups.
struct BatchLayout {
  int64_t embedding = 0;     // slots×dim float
  int64_t r = 0;             // slots float; with the gradient only
  int64_t t = 0;             // likewise
  int64_t own = 0;           // slots int64: the row of the slot's own class, or -1
  int64_t target_rows = 0;   // slots int64, of which the first `targets` are filled
  int64_t target_slots = 0;  // likewise
  int64_t bytes = 0;

  static BatchLayout Of(int64_t slots, int64_t dim, bool gradient);
};

// The groups of a pass side by side, in page-locked memory and on the device. Each group begins at a slot that is a
// multiple of 16: then a product has the same alignment, and so the same bits, wherever its group lies. Memory is kept
// from step to step. Thread-compatible.
class CudaBatch {
 public:
  // Floats between the rows of S for that many samples, and slots of such a group.
  static int64_t StrideOf(int64_t samples) { return (samples + 15) / 16 * 16; }

  // Starts a pass. `samples`: of each group. With `gradient`, AppendGradient follows each Append.
  // ResourceExhausted: no memory.
  absl::Status Start(absl::Span<const int64_t> samples, int64_t dim, bool gradient);

  // A group, its micro-batches and what the loss says of the one appended last. Labels were checked.
  void StartGroup();
  void Append(const ForwardInput& input, ClassRange range);
  void AppendGradient(absl::Span<const float> r, absl::Span<const float> t);

  // Queues the copy, and what all blocks need of it: unit embeddings, and with the gradient those times r.
  // `compute`: the type of the factors of products.
  absl::Status Finish(DataType compute, const CudaStream& stream);

  int64_t slots() const { return slots_; }
  int64_t targets() const { return static_cast<int64_t>(targets_.size()); }
  // Of the k-th target, in the order of (row, slot).
  int64_t target_slot(int64_t k) const { return targets_[static_cast<size_t>(k)].sample; }

  // Of the device, as BatchLayout says.
  const float* unit() const { return unit_.as<float>(); }  // slots×dim
  const float* t() const { return At<float>(layout_.t); }
  int64_t* own() const { return At<int64_t>(layout_.own); }
  const int64_t* target_rows() const { return At<int64_t>(layout_.target_rows); }
  const int64_t* target_slots() const { return At<int64_t>(layout_.target_slots); }

  // Factors of products from slot `first` on, samples×dim: unit embeddings, and those times r.
  ConstValues UnitFactor(int64_t first) const {
    return RowsOf(compute_ == DataType::kFloat32 ? unit_ : narrow_, first);
  }
  ConstValues UnitTimesR(int64_t first) const { return RowsOf(unit_times_r_, first); }

 private:
  template <typename T>
  T* At(int64_t offset) const {
    return reinterpret_cast<T*>(device_.as<std::byte>() + offset);
  }
  template <typename T>
  T* OnHost(int64_t offset) const {
    return reinterpret_cast<T*>(host_.data() + offset);
  }
  ConstValues RowsOf(const DeviceMemory& memory, int64_t first) const;

  BatchLayout layout_;
  int64_t dim_ = 0;
  int64_t slots_ = 0;
  int64_t next_ = 0;  // slot
  bool gradient_ = false;
  DataType compute_ = DataType::kFloat32;
  std::vector<Target> targets_;  // `sample` is a slot
  PinnedMemory host_;
  DeviceMemory device_;
  DeviceMemory unit_;          // float
  DeviceMemory narrow_;        // bfloat16, for those products
  DeviceMemory unit_times_r_;  // in the compute type
};

}  // namespace arcshard::head
