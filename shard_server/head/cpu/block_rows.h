#pragma once

#include <cstdint>

namespace arcshard::head {

// The rows of a shard that one thread walks together: `count` of them from `first` on, or, of a sampled step, those
// that `list` names.
struct BlockRows {
  int64_t first = 0;
  int64_t count = 0;
  const int64_t* list = nullptr;

  int64_t operator[](int64_t i) const { return list != nullptr ? list[i] : first + i; }
};

}  // namespace arcshard::head
