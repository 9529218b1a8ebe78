#pragma once

#include <array>
#include <cassert>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/block_rows.h"
#include "shard_server/head/cpu/buffer.h"
#include "shard_server/head/cpu/row_store.h"
#include "shard_server/head/head_options.h"

namespace arcshard::head {

// The data of a head's C classes, in the types that the options give: class centers, the optimizer's moments, AdamW's
// step counts, and 1/|w| of each stored center. Rows count from the shard's first class. Thread-compatible; threads may
// use different rows at the same time.
class ClassStore {
 public:
  static int64_t BytesPerClass(const HeadOptions& options);

  explicit ClassStore(const HeadOptions& options) : options_(options) {}

  // ResourceExhausted: no memory.
  absl::Status Allocate();

  // Fills rows with first weights (zeros without HeadOptions::first_weights), and with zeros as moments and counts.
  void Fill(int64_t first, int64_t rows) const;

  const HeadOptions& options() const { return options_; }
  const RowStore& weights() const { return weights_; }
  // Requires 0 <= i < 2; the second moment is empty unless the optimizer has two.
  const RowStore& moment(int i) const {
    assert(i >= 0 && i < 2);
    return moments_[static_cast<size_t>(i)];
  }
  float* inverse_norms() const { return inverse_norms_.data(); }
  uint32_t* counts() const { return counts_.data(); }
  // The data of `part` from row `first` on. Requires an optimizer that has this part.
  const void* Held(RowPart part, int64_t first) const;

  // Computes 1/|w| again; call it after weights have been written.
  void RenewInverseNorms(int64_t first, int64_t rows) const;

  // The unit vector (D) of a row's center.
  void UnitCenter(int64_t row, float* out) const;

  // The centers of a block as a left factor of products.h, with the number of rows rounded up to kRowUnit. They are
  // used in place if possible, and otherwise copied and converted into `scratch` (the same number of
  // rows×DepthOf<T>(D)).
  template <typename T>
  const T* Centers(const BlockRows& rows, T* scratch) const;

 private:
  void DrawWeights(int64_t first, int64_t rows) const;

  const HeadOptions options_;
  RowStore weights_;
  std::array<RowStore, 2> moments_;
  Buffer<float> inverse_norms_;
  Buffer<uint32_t> counts_;
};

}  // namespace arcshard::head
