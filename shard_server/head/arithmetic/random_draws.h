#pragma once

#include <array>
#include <cmath>
#include <cstdint>

#include "common/base/host_device.h"
#include "common/base/philox.h"

// The head's random numbers. Each is a function of the run's seed and of what it is drawn for, so it is the same for
// any number of shards and threads and any size of the blocks (docs/design.md §1).
namespace arcshard::head {

// The first weights of the dimensions 4·quad ... 4·quad + 3 of class j: 0.01·normal (Box and Muller, 1958, applied to
// the four words of one counter).
ARCSHARD_HOST_DEVICE inline void FirstWeights(uint64_t seed, int64_t j, int64_t quad, float out[4]) {
  const auto words = Philox(seed, static_cast<uint64_t>(j), static_cast<uint64_t>(quad));
  for (int pair = 0; pair < 2; ++pair) {
    const float u = 1.0f - UniformFromWord(words[2 * pair]);  // in (0, 1]
    const float radius = 0.01f * std::sqrt(-2.0f * std::log(u));
    const float angle = 6.28318530717958648f * UniformFromWord(words[2 * pair + 1]);
    out[2 * pair] = radius * std::cos(angle);
    out[2 * pair + 1] = radius * std::sin(angle);
  }
}

// The draw of Partial FC (An et al., 2021; docs/design.md §1): word 0 of Philox, with the seed as the key and
// (step, class) as the counter, is compared with a threshold.
struct SamplingDraw {
  uint64_t seed = 0;
  uint64_t threshold = 0;  // floor(r·2^32); every word is below it for r = 1

  SamplingDraw(uint64_t seed_in, double sample_rate)
      : seed(seed_in), threshold(static_cast<uint64_t>(sample_rate * 4294967296.0)) {}

  ARCSHARD_HOST_DEVICE bool TakesPart(uint64_t step, int64_t j) const {
    return Philox(seed, step, static_cast<uint64_t>(j))[0] < threshold;
  }
};

// The part of a class that is rounded.
enum class Rounded : uint32_t { kWeight = 0, kMoment0 = 1, kMoment1 = 2 };

// The random bits of stochastic rounding: 16 for each (seed, step, class, dimension, part). One call of Philox serves
// eight dimensions. The key is derived from the seed and differs from it, since the seed itself is the key of the other
// draws.
struct RoundingBits {
  static constexpr int64_t kDims = 8;  // dimensions of a call
  uint64_t key = 0;

  explicit RoundingBits(uint64_t seed) {
    const auto words = Philox(seed, 0x726f756e64, ~uint64_t{0});
    key = words[0] | uint64_t{words[1]} << 32;
  }

  // The words for the dimensions 8·octet ... 8·octet + 7: dimension 8·octet + i uses the lower (even i) or upper (odd
  // i) half of word i/2. Classes are below 2^40 and octets below 2^13, so all counters differ.
  ARCSHARD_HOST_DEVICE std::array<uint32_t, 4> Words(uint64_t step, int64_t j, int64_t octet, Rounded what) const {
    return Philox(key, step, Counter(j, octet, what));
  }

  // The upper half of the counter; the lower half is the step.
  ARCSHARD_HOST_DEVICE static uint64_t Counter(int64_t j, int64_t octet, Rounded what) {
    return static_cast<uint64_t>(j) << 16 | static_cast<uint64_t>(octet) << 2 | static_cast<uint64_t>(what);
  }

  ARCSHARD_HOST_DEVICE static uint32_t Of(const std::array<uint32_t, 4>& words, int i) {
    return words[i / 2] >> (16 * (i % 2)) & 0xffffu;
  }
};

}  // namespace arcshard::head
