#pragma once

#include <cstdint>

#include "common/base/philox.h"

namespace arcshard::worker {

// The purposes for which the data's random numbers are drawn. Each has its own Philox key, which depends on the run's
// seed, so that no two of them get the same numbers.
enum class RandomStream : uint64_t {
  kSampleOrder = 0x6f72646572,
  kAugmentation = 0x6175676d,
  kSyntheticData = 0x73796e7468
};

constexpr uint64_t StreamKey(uint64_t seed, RandomStream stream) {
  const auto words = Philox(seed, static_cast<uint64_t>(stream), ~uint64_t{0});
  return words[0] | uint64_t{words[1]} << 32;
}

}  // namespace arcshard::worker
