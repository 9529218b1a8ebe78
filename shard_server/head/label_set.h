#pragma once

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "common/base/class_range.h"

namespace arcshard::head {

// The distinct labels of a step in ascending order. Assign reuses the memory of earlier steps. Thread-compatible.
class LabelSet {
 public:
  // Replaces the set; `labels` may be in any order and may repeat.
  void Assign(absl::Span<const int64_t> labels);

  bool Contains(int64_t label) const;

  // The labels inside `range`, ascending. Valid until the next Assign.
  absl::Span<const int64_t> InRange(ClassRange range) const;

 private:
  std::vector<int64_t> sorted_;
};

}  // namespace arcshard::head
