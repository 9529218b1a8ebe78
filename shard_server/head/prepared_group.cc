#include "shard_server/head/prepared_group.h"

#include <algorithm>

#include "common/base/status_macros.h"

namespace arcshard::head {

absl::Status PreparedGroup::Start(int64_t samples, int64_t dim, bool gradient) {
  dim_ = dim;
  samples_ = samples;
  appended_ = 0;
  t_.clear();
  targets_.clear();
  targets_.reserve(static_cast<size_t>(samples));  // not what this shard happens to own: that varies from step to step
  RETURN_IF_ERROR(unit_.Reserve(samples * dim, "unit embeddings"));
  if (!gradient) return absl::OkStatus();
  t_.reserve(static_cast<size_t>(samples));
  return unit_times_r_.Reserve(samples * dim, "scaled embeddings");
}

void PreparedGroup::Append(const ForwardInput& input, ClassRange range) {
  for (int64_t i = 0; i < input.embedding.rows; ++i) {
    UnitVector(dim_, input.embedding.row(i), unit_.data() + (appended_ + i) * dim_);
    const int64_t label = input.labels[static_cast<size_t>(i)];
    if (range.contains(label)) targets_.push_back({label - range.begin, appended_ + i});
  }
  appended_ += input.embedding.rows;
}

void PreparedGroup::AppendGradient(absl::Span<const float> r, absl::Span<const float> t) {
  int64_t sample = appended_ - static_cast<int64_t>(r.size());
  for (const float factor : r) {
    Scale(dim_, factor, unit_row(sample), unit_times_r_.data() + sample * dim_);
    ++sample;
  }
  t_.insert(t_.end(), t.begin(), t.end());
}

void PreparedGroup::Finish() {
  std::sort(targets_.begin(), targets_.end(),
            [](const Target& a, const Target& b) { return a.row != b.row ? a.row < b.row : a.sample < b.sample; });
}

absl::Span<const Target> PreparedGroup::TargetsOf(const Block& block) const {
  const auto before = [](const Target& target, int64_t row) { return target.row < row; };
  const auto first = std::lower_bound(targets_.begin(), targets_.end(), block.begin, before);
  const auto last = std::lower_bound(first, targets_.end(), block.begin + block.rows, before);
  return absl::MakeConstSpan(targets_).subspan(static_cast<size_t>(first - targets_.begin()),
                                               static_cast<size_t>(last - first));
}

}  // namespace arcshard::head
