#pragma once

#include <cstdint>

namespace arcshard::worker {

// The permutation of an epoch: which sample is at which position. It depends only on (seed, epoch, number of samples),
// so it is the same on every worker, and each position is computed by itself, so no table of all samples is needed.
//
// It is a Feistel network over pairs (left, right) in [0, side)², side = ⌈√samples⌉, whose round function is Philox. A
// result beyond the last sample goes through the network again until it is a sample ("cycle walking"; Black and
// Rogaway, "Ciphers with arbitrary finite domains", CT-RSA 2002). Thread-safe.
class SampleOrder {
 public:
  // Requires: samples >= 1.
  SampleOrder(uint64_t seed, uint64_t epoch, int64_t samples);

  // Requires: position in [0, samples).
  int64_t SampleAt(int64_t position) const;

 private:
  uint64_t Permute(uint64_t index) const;

  uint64_t key_;
  uint64_t epoch_;
  uint64_t samples_;
  uint64_t side_;
};

}  // namespace arcshard::worker
