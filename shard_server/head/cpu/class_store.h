#pragma once

#include <array>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/cpu/block_rows.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/cpu/row_store.h"
#include "shard_server/head/head_options.h"

namespace arcshard::head {

// What a head holds of each of its C classes, in the types that the options say: the class center, the optimizer's
// moments, AdamW's step count, and 1/|w| of the center as held. Rows count from the shard's first. Thread-compatible;
// threads may use different rows at once.
class ClassStore {
 public:
  static int64_t BytesPerClass(const HeadOptions& options);

  explicit ClassStore(const HeadOptions& options) : options_(options) {}

  // ResourceExhausted: no memory.
  absl::Status Allocate();

  // First weights; moments and counts of 0.
  void Fill(int64_t first, int64_t rows) const;

  const HeadOptions& options() const { return options_; }
  const RowStore& weights() const { return weights_; }
  const RowStore& moment(int i) const { return moments_[static_cast<size_t>(i)]; }
  float* inverse_norms() const { return inverse_norms_.data(); }
  uint32_t* counts() const { return counts_.data(); }
  // `part` from row `first` on; the optimizer has it.
  const void* Held(RowPart part, int64_t first) const;

  // Call when weights have been written: computes 1/|w| anew.
  void RenewInverseNorms(int64_t first, int64_t rows) const;

  // The center of a row as a unit vector of float32.
  void UnitCenter(int64_t row, float* out) const;

  // The centers of a block as a left factor of products.h, rounded up to kRowUnit rows: where they lie, if that will
  // do, or copied and converted into `scratch` (of as many rows×DepthOf<T>(D)).
  template <typename T>
  const T* Centers(const BlockRows& rows, T* scratch) const;

 private:
  const HeadOptions options_;
  RowStore weights_;
  std::array<RowStore, 2> moments_;
  Buffer<float> inverse_norms_;
  Buffer<uint32_t> counts_;
};

}  // namespace arcshard::head
