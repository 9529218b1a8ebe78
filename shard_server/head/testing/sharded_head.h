#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "shard_server/head/head.h"

// Test support: several heads that together hold all classes. dense_head.h has the reference for their results.
namespace arcshard::head {

// The embeddings and labels of a micro-batch.
struct LabelledBatch {
  std::vector<float> embedding;  // B×D
  std::vector<int64_t> labels;   // B
};

using LabelledGroup = std::vector<LabelledBatch>;

// The outputs of pass 1 for all samples of a step, summed over the shards, as a worker computes them.
struct SummedOutputs {
  std::vector<double> z;           // B
  std::vector<double> u;           // B×D
  std::vector<float> own_centers;  // B×D
  friend bool operator==(const SummedOutputs&, const SummedOutputs&) = default;
};

// Ranges of N classes for K shards. Later shards hold more classes; if K > N, some hold none.
std::vector<ClassRange> UnevenRanges(int64_t num_classes, int shards);

// Everything that a head stores, in float32.
struct HeadState {
  std::vector<float> weights;
  std::vector<std::vector<float>> moments;
  std::vector<uint32_t> counts;
  friend bool operator==(const HeadState&, const HeadState&) = default;
};

// Heads on the device of this test run (test_device.h). An error of a head fails the test.
class ShardedHead {
 public:
  ShardedHead(const HeadOptions& options, const std::vector<ClassRange>& ranges);
  // The given heads, in the order of their ranges.
  explicit ShardedHead(std::vector<std::unique_ptr<Head>> heads);

  // Begins the next step. An Update after it, without Forward, replays the step.
  void Begin(const std::vector<LabelledGroup>& groups);
  // Begins the next step, and calls Forward once for each group.
  SummedOutputs Forward(const std::vector<LabelledGroup>& groups);
  // r and t have one value for each sample, in the order of the groups.
  void Update(const std::vector<LabelledGroup>& groups, const std::vector<float>& r, const std::vector<float>& t,
              float lr);
  void Discard();

  Head* head(size_t shard) const { return heads_[shard].get(); }

  std::vector<float> Weights() const;
  std::vector<float> Moment(int moment) const;
  std::vector<float> Momentum() const { return Moment(0); }
  std::vector<uint32_t> Counts() const;
  void SetWeights(std::vector<float> weights);
  void SetMoment(int moment, std::vector<float> values);

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

// max|x - reference|, and the same divided by max|reference|.
double LargestDifference(const std::vector<double>& x, const std::vector<double>& reference);
double RelativeDifference(const std::vector<double>& x, const std::vector<double>& reference);

// max|x|.
double Largest(const std::vector<double>& x);

std::vector<double> Widened(const std::vector<float>& x);

// All micro-batches of all groups, joined into one.
LabelledBatch Joined(const std::vector<LabelledGroup>& groups);

// Normally distributed embeddings and uniformly distributed labels; functions of the seed.
LabelledBatch RandomBatch(uint64_t seed, int64_t samples, int64_t dim, int64_t num_classes);
std::vector<float> RandomNormals(uint64_t seed, int64_t count);

}  // namespace arcshard::head
