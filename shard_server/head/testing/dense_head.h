#pragma once

#include <cstdint>
#include <vector>

#include "shard_server/head/testing/sharded_head.h"

namespace arcshard::head {

// The unsharded head in float64, written directly from the formulas of docs/design.md §1: the reference for every other
// head. It ignores the types in the options.
class DenseHead {
 public:
  DenseHead(const HeadOptions& options, const std::vector<float>& weights);

  // Begins the next step: determines which classes take part.
  void Begin(const std::vector<int64_t>& labels);

  SummedOutputs Forward(const LabelledBatch& batch) const;
  void Update(const LabelledBatch& batch, const std::vector<float>& r, const std::vector<float>& t, float lr);

  const std::vector<bool>& active() const { return active_; }
  const std::vector<double>& weights() const { return weights_; }
  const std::vector<double>& moment(int i) const { return moments_[static_cast<size_t>(i)]; }
  const std::vector<double>& momentum() const { return moments_[0]; }

 private:
  struct Term {
    double p;  // summand of z
    double q;  // factor of ŵ in U and of ê in the gradient
  };
  Term TermOf(const std::vector<double>& w, const std::vector<double>& e) const;
  std::vector<double> GradientOf(int64_t j, const LabelledBatch& batch, const std::vector<float>& r,
                                 const std::vector<float>& t) const;
  void Apply(const SgdOptions& sgd, int64_t j, const std::vector<double>& gradient, double lr);
  void Apply(const AdamWOptions& adamw, int64_t j, const std::vector<double>& gradient, double lr);

  HeadOptions options_;
  double shift_;
  uint64_t step_ = 0;
  std::vector<bool> active_;
  std::vector<double> weights_;
  std::vector<double> moments_[2];
  std::vector<int> counts_;
};

}  // namespace arcshard::head
