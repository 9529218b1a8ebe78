#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/io/safetensors.h"
#include "worker/loss/margin_loss.h"

namespace arcshard::worker {

// What the products were computed with, whose results are held against a case.
enum class Products { kFloat32, kBfloat16 };

// A reference case of tests/data/golden (its README.md says what each tensor is), for tests. ARCSHARD_GOLDEN_DIR names
// another folder.
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

  // A tensor of float64, "W_0" or name and step.
  at::Tensor Reals(const std::string& tensor) const;
  at::Tensor Reals(const std::string& tensor, int step) const;
  at::Tensor Labels(int step) const;
  // Of a case that is sampled: which classes take part in the step. N, bool.
  at::Tensor Active(int step) const;
  // What reaches the head: E, or S where the case standardises.
  at::Tensor HeadInput(int step) const { return Reals(Flag("standardize") ? "S" : "E", step); }

  // The case's loss; per-sample margins are those of the step.
  std::unique_ptr<MarginLoss> Loss(int step) const;
  // ω of the samples [first, first + size) of the step; undefined where the case has none.
  at::Tensor SampleWeights(int step, int64_t first, int64_t size) const;

  // Of the arithmetic, as the cases' README says; LossTolerance times the loss, where that is above 1.
  double Tolerance() const;
  double LossTolerance() const { return products_ == Products::kFloat32 ? 5e-6 : Tolerance(); }
  // Expects max|x - reference| <= Tolerance()·max|reference| of a tensor of the case; infinities have to be the same.
  void ExpectClose(const at::Tensor& got, const std::string& tensor, int step) const;
  void ExpectClose(const at::Tensor& got, const at::Tensor& reference) const;
  void ExpectLossClose(double got, int step) const;

 private:
  GoldenCase(std::string name, SafetensorsFile file, Products products)
      : name_(std::move(name)), file_(std::move(file)), products_(products) {}

  const std::string name_;
  const SafetensorsFile file_;
  const Products products_;
};

// All cases.
std::vector<std::string> GoldenCases();
// Those without options of the shard: sampled classes, a filter.
std::vector<std::string> GoldenCasesOfTheLoss();

// Of the seed chapter's FeatBlock: the gradient with respect to f from that with respect to (f - mean)/sqrt(var +
// 2e-5).
at::Tensor ThroughStandardize(const at::Tensor& f, const at::Tensor& gradient);

}  // namespace arcshard::worker
