#include "worker/data/sample_order.h"

#include <cassert>
#include <cmath>

#include "common/base/philox.h"
#include "worker/data/random_stream.h"

namespace arcshard::worker {
namespace {

// Four rounds give a pseudo-random permutation of a large set (Luby and Rackoff, 1988); small sets need some more.
constexpr uint64_t kRounds = 8;

}  // namespace

SampleOrder::SampleOrder(uint64_t seed, uint64_t epoch, int64_t samples)
    : key_(StreamKey(seed, RandomStream::kSampleOrder)), epoch_(epoch), samples_(static_cast<uint64_t>(samples)) {
  assert(samples >= 1);
  side_ = static_cast<uint64_t>(std::sqrt(static_cast<double>(samples)));
  while (side_ * side_ < samples_) ++side_;
}

int64_t SampleOrder::SampleAt(int64_t position) const {
  assert(position >= 0 && static_cast<uint64_t>(position) < samples_);
  uint64_t index = static_cast<uint64_t>(position);
  do {
    index = Permute(index);
  } while (index >= samples_);
  return static_cast<int64_t>(index);
}

uint64_t SampleOrder::Permute(uint64_t index) const {
  uint64_t left = index / side_, right = index % side_;
  for (uint64_t round = 0; round < kRounds; ++round) {
    const auto words = Philox(key_, epoch_, right << 8 | round);
    const uint64_t random = words[0] | uint64_t{words[1]} << 32;
    const uint64_t next = (left + random % side_) % side_;
    left = right;
    right = next;
  }
  return left * side_ + right;
}

}  // namespace arcshard::worker
