#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "shard_server/head/cuda/cuda_buffer.h"
#include "shard_server/head/cuda/cuda_kernels.h"
#include "shard_server/head/cuda/cuda_stream.h"
#include "shard_server/head/head.h"
#include "shard_server/head/target.h"

namespace arcshard::head {

// The layout of a pass's inputs in one buffer. It is the same on the host and on the device, so that one copy transfers
// everything. Offsets are in bytes, at 256-byte boundaries. `slots` counts the samples and the padding between groups.
struct BatchLayout {
  int64_t embedding = 0;     // slots×dim float
  int64_t r = 0;             // slots float; only with `gradient`
  int64_t t = 0;             // slots float; only with `gradient`
  int64_t own = 0;           // slots int64: the row of the slot's own class, or -1
  int64_t target_rows = 0;   // slots int64; the first `targets` are filled
  int64_t target_slots = 0;  // slots int64; the first `targets` are filled
  int64_t bytes = 0;

  static BatchLayout Of(int64_t slots, int64_t dim, bool gradient);
};

// The groups of a pass one after the other, in page-locked memory and on the device. Each group begins at a slot that
// is a multiple of 16, so that a product has the same alignment, and therefore the same bits, wherever its group lies.
// Memory is kept from step to step. Thread-compatible.
class CudaBatch {
 public:
  // The number of floats between rows of S for a group of `samples` samples, and the number of slots it takes.
  static int64_t StrideOf(int64_t samples) { return RoundedUp(samples, 16); }

  // Starts a pass over groups of these sizes. Requires AppendGradient after each Append if and only if `gradient`.
  // ResourceExhausted: no memory.
  absl::Status Start(absl::Span<const int64_t> samples, int64_t dim, bool gradient);

  // Call StartGroup before the first micro-batch of each group.
  void StartGroup();
  void Append(const ForwardInput& input, ClassRange range);
  // r and t of the micro-batch appended last (as in UpdateInput).
  void AppendGradient(absl::Span<const float> r, absl::Span<const float> t);

  // Queues the copy and the kernels for what all blocks need: unit embeddings, and with `gradient` also r times these.
  // `compute`: the type of the factors of the products. Errors are the device's.
  absl::Status Finish(DataType compute, const CudaStream& stream);

  int64_t slots() const { return slots_; }
  int64_t targets() const { return static_cast<int64_t>(targets_.size()); }
  // The slot of the k-th target; targets are sorted by (row, slot).
  int64_t target_slot(int64_t k) const { return targets_[static_cast<size_t>(k)].sample; }

  // Pointers of the device; shapes as in BatchLayout.
  const float* unit() const { return unit_.as<float>(); }  // slots×dim
  const float* t() const { return At<float>(layout_.t); }
  int64_t* own() const { return At<int64_t>(layout_.own); }
  const int64_t* target_rows() const { return At<int64_t>(layout_.target_rows); }
  const int64_t* target_slots() const { return At<int64_t>(layout_.target_slots); }

  // Factors of products (samples×dim) from slot `first` on: unit embeddings, and r times unit embeddings.
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
  ConstValues RowsOf(const CudaBuffer& memory, int64_t first) const;

  BatchLayout layout_;
  int64_t dim_ = 0;
  int64_t slots_ = 0;
  int64_t next_ = 0;  // the slot that the next sample takes
  bool gradient_ = false;
  DataType compute_ = DataType::kFloat32;
  std::vector<Target> targets_;  // sorted by Finish
  PinnedBuffer host_;
  CudaBuffer device_;
  CudaBuffer unit_;          // float
  CudaBuffer narrow_;        // unit embeddings in bfloat16, where that is the compute type
  CudaBuffer unit_times_r_;  // in the compute type
};

}  // namespace arcshard::head
