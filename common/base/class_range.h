#pragma once

#include <cstdint>

namespace arcshard {

// The contiguous classes [begin, end) of one shard. A shard may own no class: then the range is empty.
struct ClassRange {
  int64_t begin = 0;
  int64_t end = 0;

  int64_t size() const { return end - begin; }
  bool contains(int64_t label) const { return begin <= label && label < end; }
  friend bool operator==(const ClassRange&, const ClassRange&) = default;
};

}  // namespace arcshard
