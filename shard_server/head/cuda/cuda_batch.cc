#include "shard_server/head/cuda/cuda_batch.h"

#include <algorithm>
#include <cassert>
#include <cstring>

#include "common/base/status_macros.h"
#include "shard_server/head/cuda/cuda_check.h"
#include "shard_server/head/head_options.h"

namespace arcshard::head {
namespace {

constexpr int64_t kBoundary = 256;

}  // namespace

BatchLayout BatchLayout::Of(int64_t slots, int64_t dim, bool gradient) {
  BatchLayout layout;
  const auto take = [&layout](int64_t bytes) {
    const int64_t offset = layout.bytes;
    layout.bytes = RoundedUp(offset + bytes, kBoundary);
    return offset;
  };
  const int64_t floats = slots * static_cast<int64_t>(sizeof(float));
  const int64_t indices = slots * static_cast<int64_t>(sizeof(int64_t));
  layout.embedding = take(floats * dim);
  layout.r = take(gradient ? floats : 0);
  layout.t = take(gradient ? floats : 0);
  layout.own = take(indices);
  layout.target_rows = take(indices);
  layout.target_slots = take(indices);
  return layout;
}

absl::Status CudaBatch::Start(absl::Span<const int64_t> samples, int64_t dim, bool gradient) {
  dim_ = dim;
  slots_ = 0;
  for (const int64_t group : samples) slots_ += StrideOf(group);
  next_ = 0;
  gradient_ = gradient;
  layout_ = BatchLayout::Of(slots_, dim, gradient);
  targets_.clear();
  targets_.reserve(static_cast<size_t>(slots_));
  RETURN_IF_ERROR(host_.Reserve(layout_.bytes, "a pass's inputs on the host"));
  return device_.Reserve(layout_.bytes, "a pass's inputs");
}

void CudaBatch::StartGroup() {
  // The slots up to the beginning of the group are padding: embeddings of 0 without an own class.
  const int64_t first = StrideOf(next_);
  std::fill_n(OnHost<float>(layout_.embedding) + next_ * dim_, (first - next_) * dim_, 0.0f);
  std::fill_n(OnHost<int64_t>(layout_.own) + next_, first - next_, int64_t{-1});
  if (gradient_) {
    std::fill_n(OnHost<float>(layout_.r) + next_, first - next_, 0.0f);
    std::fill_n(OnHost<float>(layout_.t) + next_, first - next_, 0.0f);
  }
  next_ = first;
}

void CudaBatch::Append(const ForwardInput& input, ClassRange range) {
  const int64_t rows = input.embedding.rows;
  std::copy_n(input.embedding.data, rows * dim_, OnHost<float>(layout_.embedding) + next_ * dim_);
  for (int64_t i = 0; i < rows; ++i) {
    const int64_t label = input.labels[static_cast<size_t>(i)];
    const bool own = range.contains(label);
    OnHost<int64_t>(layout_.own)[next_ + i] = own ? label - range.begin : -1;
    if (own) targets_.push_back({label - range.begin, next_ + i});
  }
  next_ += rows;
}

void CudaBatch::AppendGradient(absl::Span<const float> r, absl::Span<const float> t) {
  const int64_t first = next_ - static_cast<int64_t>(r.size());
  std::copy(r.begin(), r.end(), OnHost<float>(layout_.r) + first);
  std::copy(t.begin(), t.end(), OnHost<float>(layout_.t) + first);
}

absl::Status CudaBatch::Finish(DataType compute, const CudaStream& stream) {
  StartGroup();  // fills the padding of the last group
  compute_ = compute;
  assert(next_ == slots_);
  std::sort(targets_.begin(), targets_.end());
  for (size_t k = 0; k < targets_.size(); ++k) {
    OnHost<int64_t>(layout_.target_rows)[k] = targets_[k].row;
    OnHost<int64_t>(layout_.target_slots)[k] = targets_[k].sample;
  }
  const int64_t values = slots_ * dim_;
  RETURN_IF_ERROR(unit_.Reserve(values * BytesOf(DataType::kFloat32), "unit embeddings"));
  if (compute == DataType::kBfloat16) RETURN_IF_ERROR(narrow_.Reserve(values * BytesOf(compute), "unit embeddings"));
  if (gradient_) RETURN_IF_ERROR(unit_times_r_.Reserve(values * BytesOf(compute), "scaled embeddings"));
  RETURN_IF_ERROR(stream.Copy(device_.data(), host_.data(), layout_.bytes));
  RETURN_IF_ERROR(
      CUDA_STATUS(UnitVectors(slots_, dim_, At<float>(layout_.embedding), unit_.as<float>(),
                              compute == DataType::kBfloat16 ? narrow_.as<Bfloat16>() : nullptr, stream.get())));
  if (!gradient_) return absl::OkStatus();
  return CUDA_STATUS(
      ScaleRows(slots_, dim_, At<float>(layout_.r), unit(), {unit_times_r_.data(), compute}, stream.get()));
}

ConstValues CudaBatch::RowsOf(const CudaBuffer& memory, int64_t first) const {
  return {memory.as<std::byte>() + first * dim_ * BytesOf(compute_), compute_};
}

}  // namespace arcshard::head
