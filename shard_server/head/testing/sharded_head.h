#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "shard_server/head/head.h"

// For tests: several heads that together hold all classes. dense_head.h has what they must agree with.
namespace arcshard::head {

struct MicroBatch {
  std::vector<float> embedding;  // B×D
  std::vector<int64_t> labels;   // B
};

using MicroBatchGroup = std::vector<MicroBatch>;

// Of all samples of a step, summed over the shards: what a worker has.
struct Sums {
  std::vector<double> z;           // B
  std::vector<double> u;           // B×D
  std::vector<float> own_centers;  // B×D
  friend bool operator==(const Sums&, const Sums&) = default;
};

// Uneven ranges of N classes over K shards: later shards hold more; where K > N some hold none.
std::vector<ClassRange> UnevenRanges(int64_t num_classes, int shards);

struct HeadState {
  std::vector<float> weights;
  std::vector<std::vector<float>> moments;
  std::vector<uint32_t> counts;
  friend bool operator==(const HeadState&, const HeadState&) = default;
};

// Heads on the device of this run (test_device.h). Any error of a head fails the test.
class ShardedHead {
 public:
  ShardedHead(const HeadOptions& options, const std::vector<ClassRange>& ranges);

  // Begins the next step; each group in one Forward.
  Sums Forward(const std::vector<MicroBatchGroup>& groups);
  // r and t are of all samples, in the groups' order.
  void Update(const std::vector<MicroBatchGroup>& groups, const std::vector<float>& r, const std::vector<float>& t,
              float lr);
  void Discard();

  Head* head(size_t shard) const { return heads_[shard].get(); }

  std::vector<float> Weights() const;
  std::vector<float> Moment(int moment) const;
  std::vector<float> Momentum() const { return Moment(0); }
  std::vector<uint32_t> Counts() const;
  void SetWeights(std::vector<float> weights);
  void SetMoment(int moment, std::vector<float> values);

  // Everything that is held.
  HeadState State() const;
  void SetState(const HeadState& state);

 private:
  int64_t dim_;
  int64_t num_classes_;
  uint64_t step_ = 0;
  std::vector<std::unique_ptr<Head>> heads_;
};

// x/|x| in float64, 0 where the norm is below 1e-12.
template <typename T>
std::vector<double> Unit(const T* x, int64_t dim);

// max|x - reference|, and that over max|reference|.
double LargestDifference(const std::vector<double>& x, const std::vector<double>& reference);
double RelativeDifference(const std::vector<double>& x, const std::vector<double>& reference);

double Largest(const std::vector<double>& x);

std::vector<double> Widened(const std::vector<float>& x);

// All micro-batches of all groups as one.
MicroBatch Joined(const std::vector<MicroBatchGroup>& groups);

// Normal embeddings and uniform labels, a function of the seed.
MicroBatch RandomMicroBatch(uint64_t seed, int64_t samples, int64_t dim, int64_t num_classes);
std::vector<float> RandomNormals(uint64_t seed, int64_t count);

}  // namespace arcshard::head
