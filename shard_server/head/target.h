#pragma once

#include <cstdint>

namespace arcshard::head {

// A sample whose own class is in this shard.
struct Target {
  int64_t row = 0;     // of the class: CPU: its place among the classes of the step; GPU: from the shard's first class
  int64_t sample = 0;  // CPU: its index in the group; GPU: its slot in the batch

  // By row, then by sample.
  friend bool operator<(const Target& a, const Target& b) {
    return a.row != b.row ? a.row < b.row : a.sample < b.sample;
  }
};

}  // namespace arcshard::head
