#pragma once

#include <cstdint>

namespace arcshard::head {

// Rows of a shard that are processed together: the `count` rows from `first` on, or, in a sampled step, the `count`
// rows in `list`. Rows count from the shard's first class.
struct BlockRows {
  int64_t first = 0;
  int64_t count = 0;
  const int64_t* list = nullptr;

  int64_t operator[](int64_t i) const { return list != nullptr ? list[i] : first + i; }
};

}  // namespace arcshard::head
