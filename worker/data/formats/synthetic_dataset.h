#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"

namespace arcshard::worker {

// Images of random pixels with random labels, for measurements of throughput and memory: nothing is read or decoded,
// and nothing can be learned. Label and pixels are drawn by Philox from (seed, sample): the label uniformly from
// 0..N-1, each channel of each pixel uniformly from 0..255.
class SyntheticDataset final : public Dataset {
 public:
  // InvalidArgument: fewer than one sample or class.
  static absl::StatusOr<std::unique_ptr<SyntheticDataset>> Create(int64_t samples, int64_t classes, uint64_t seed);

  absl::StatusOr<LabeledImage> Read(int64_t sample, int side, SampleBuffers* buffers) const override;

  int64_t samples() const override { return samples_; }
  int64_t classes() const override { return classes_; }
  uint64_t fingerprint() const override;  // covers samples, classes and seed
  std::string path() const override { return "synthetic data"; }
  std::string NameOf(int64_t sample) const override;

 private:
  SyntheticDataset(int64_t samples, int64_t classes, uint64_t key) : samples_(samples), classes_(classes), key_(key) {}

  const int64_t samples_;
  const int64_t classes_;
  const uint64_t key_;
};

}  // namespace arcshard::worker
