#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/base/testing/golden_bounds.h"
#include "common/io/safetensors.h"
#include "worker/loss/margin_loss.h"

namespace arcshard::worker {

// The arithmetic of the matrix products whose results are compared with a case.
enum class Products { kFloat32, kBfloat16 };

// A reference case of tests/data/golden, whose README.md describes each tensor. The environment variable
// ARCSHARD_GOLDEN_DIR may name another folder.
class GoldenCase {
 public:
  static absl::StatusOr<std::unique_ptr<GoldenCase>> Open(const std::string& name,
                                                          Products products = Products::kFloat32);

  const std::string& name() const { return name_; }
  const std::string& Text(const std::string& key) const { return file_.metadata().at(key); }
  bool Flag(const std::string& key) const { return Text(key) == "true"; }
  double Real(const std::string& key) const;
  uint64_t sampling_seed() const;
  int steps() const { return static_cast<int>(Real("steps")); }
  std::vector<int64_t> MicroBatches() const;

  // A float64 tensor, by its full name ("W_0") or by name and step.
  at::Tensor Reals(const std::string& tensor) const;
  at::Tensor Reals(const std::string& tensor, int step) const;
  at::Tensor Labels(int step) const;
  // N, bool: which classes take part in the step; only for cases with sampled classes.
  at::Tensor Active(int step) const;
  // The input of the head: E, or S if the case standardises.
  at::Tensor HeadInput(int step) const { return Reals(Flag("standardize") ? "S" : "E", step); }

  // The case's loss, with the step's margins if they differ from sample to sample.
  std::unique_ptr<MarginLoss> Loss(int step) const;
  // ω of the samples [first, first + size) of the step; undefined if the case has no weights.
  at::Tensor SampleWeights(int step, int64_t first, int64_t size) const;

  // The tolerances for the arithmetic, as in the cases' README: relative to a tensor's largest value; of the lse of a
  // sample, whose largest value is `largest`; of the loss. The last two are absolute. `updates`: of the class centers
  // since they were the reference's.
  double Tolerance(int step) const;
  double LseTolerance(int updates, double largest) const;
  double LossTolerance(int step, int updates) const;
  // Expects that `got` differs from the tensor by no more than the tolerance, and has the same infinities.
  void ExpectClose(const at::Tensor& got, const std::string& tensor, int step, int updates = 0) const;
  void ExpectLossClose(double got, int step, int updates = 0) const;

 private:
  Bfloat16Bounds Bounds() const { return Bfloat16BoundsOf(Real("scale"), Reals("W_0").size(1)); }
  double LogitToleranceOfUpdates(int updates) const {
    return Real("scale") * CosToleranceOfUpdates(Reals("W_0").size(1), updates);
  }

  GoldenCase(std::string name, SafetensorsFile file, Products products)
      : name_(std::move(name)), file_(std::move(file)), products_(products) {}

  const std::string name_;
  const SafetensorsFile file_;
  const Products products_;
};

// All cases.
std::vector<std::string> GoldenCases();
// The cases without the shards' options, which are sampled classes and the filter.
std::vector<std::string> GoldenCasesOfTheLoss();

// For the seed chapter's FeatBlock: the gradient with respect to f, given that with respect to (f - mean)/sqrt(var +
// 2e-5).
at::Tensor ThroughStandardize(const at::Tensor& f, const at::Tensor& gradient);

}  // namespace arcshard::worker
