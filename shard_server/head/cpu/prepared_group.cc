#include "shard_server/head/cpu/prepared_group.h"

#include <algorithm>
#include <cassert>

#include "common/base/status_macros.h"
#include "shard_server/head/cpu/kernels/block_ops.h"
#include "shard_server/head/cpu/kernels/operands.h"
#include "shard_server/head/cpu/kernels/products.h"

namespace arcshard::head {

template <typename T>
absl::Status PreparedGroup<T>::Start(int64_t samples, int64_t dim, bool gradient) {
  dim_ = dim;
  samples_ = samples;
  appended_ = 0;
  gradient_ = gradient;
  r_.clear();
  t_.clear();
  targets_.clear();
  targets_.reserve(static_cast<size_t>(samples));  // the most there can be: how many this shard owns varies by step
  RETURN_IF_ERROR(unit_.Reserve(samples * dim, "unit embeddings"));
  RETURN_IF_ERROR(packed_unit_.Reserve(DepthOf<T>(dim) * stride(), "unit embeddings"));
  if (!gradient) return absl::OkStatus();
  r_.reserve(static_cast<size_t>(samples));
  t_.reserve(static_cast<size_t>(samples));
  return times_r_.Reserve(stride() * dim, "scaled embeddings");
}

template <typename T>
void PreparedGroup<T>::Append(const ForwardInput& input, ClassRange range, const ActiveClasses& active) {
  for (int64_t i = 0; i < input.embedding.rows; ++i) {
    UnitVector(dim_, input.embedding.row(i), unit_.data() + (appended_ + i) * dim_);
    const int64_t label = input.labels[static_cast<size_t>(i)];
    if (range.contains(label)) targets_.push_back({active.PlaceOf(label), appended_ + i});
  }
  appended_ += input.embedding.rows;
}

template <typename T>
void PreparedGroup<T>::AppendGradient(absl::Span<const float> r, absl::Span<const float> t) {
  r_.insert(r_.end(), r.begin(), r.end());
  t_.insert(t_.end(), t.begin(), t.end());
}

template <typename T>
void PreparedGroup<T>::Finish() {
  assert(appended_ == samples_);
  assert(!gradient_ || (r_.size() == static_cast<size_t>(samples_) && t_.size() == r_.size()));
  std::sort(targets_.begin(), targets_.end());
  PackTransposed(samples_, dim_, unit_.data(), stride(), packed_unit_.data());
  if (gradient_) PackScaledRows(samples_, dim_, unit_.data(), r_.data(), stride(), times_r_.data());
}

template <typename T>
absl::Span<const Target> PreparedGroup<T>::TargetsOf(const Block& block) const {
  const auto before = [](const Target& target, int64_t row) { return target.row < row; };
  const auto first = std::lower_bound(targets_.begin(), targets_.end(), block.begin, before);
  const auto last = std::lower_bound(first, targets_.end(), block.begin + block.rows, before);
  return absl::MakeConstSpan(targets_).subspan(static_cast<size_t>(first - targets_.begin()),
                                               static_cast<size_t>(last - first));
}

template class PreparedGroup<float>;
template class PreparedGroup<Bfloat16>;

}  // namespace arcshard::head
