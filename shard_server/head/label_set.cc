#include "shard_server/head/label_set.h"

#include <algorithm>

namespace arcshard::head {

void LabelSet::Assign(absl::Span<const int64_t> labels) {
  sorted_.assign(labels.begin(), labels.end());
  std::sort(sorted_.begin(), sorted_.end());
  sorted_.erase(std::unique(sorted_.begin(), sorted_.end()), sorted_.end());
}

bool LabelSet::Contains(int64_t label) const { return std::binary_search(sorted_.begin(), sorted_.end(), label); }

absl::Span<const int64_t> LabelSet::InRange(ClassRange range) const {
  const auto first = std::lower_bound(sorted_.begin(), sorted_.end(), range.begin);
  const auto last = std::lower_bound(first, sorted_.end(), range.end);
  return absl::MakeConstSpan(sorted_).subspan(static_cast<size_t>(first - sorted_.begin()),
                                              static_cast<size_t>(last - first));
}

}  // namespace arcshard::head
