#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "common/io/safetensors.h"
#include "worker/loss/margin_loss.h"

namespace arcshard::worker {

// A reference case of tests/data/golden (its README.md says what each tensor is), for tests. ARCSHARD_GOLDEN_DIR names
// another folder.
class GoldenCase {
 public:
  static absl::StatusOr<std::unique_ptr<GoldenCase>> Open(const std::string& name);

  const std::string& name() const { return name_; }
  const std::string& Text(const std::string& key) const { return file_.metadata().at(key); }
  bool Flag(const std::string& key) const { return Text(key) == "true"; }
  double Real(const std::string& key) const;
  int steps() const { return static_cast<int>(Real("steps")); }
  std::vector<int64_t> MicroBatches() const;

  // A tensor of float64, "W_0" or name and step.
  at::Tensor Reals(const std::string& tensor) const;
  at::Tensor Reals(const std::string& tensor, int step) const;
  at::Tensor Labels(int step) const;
  // What reaches the head: E, or S where the case standardises.
  at::Tensor HeadInput(int step) const { return Reals(Flag("standardize") ? "S" : "E", step); }

  // The case's loss; per-sample margins are those of the step.
  std::unique_ptr<MarginLoss> Loss(int step) const;
  // ω of the samples [first, first + size) of the step; undefined where the case has none.
  at::Tensor SampleWeights(int step, int64_t first, int64_t size) const;

  // Of float32 arithmetic, as the cases' README says.
  double Tolerance() const { return name_ == "near_0_and_pi" ? 2e-3 : 5e-5; }
  // Expects max|x - reference| <= Tolerance()·max|reference| of a tensor of the case; infinities have to be the same.
  void ExpectClose(const at::Tensor& got, const std::string& tensor, int step) const;
  void ExpectClose(const at::Tensor& got, const at::Tensor& reference) const;
  void ExpectLossClose(double got, int step) const;

 private:
  GoldenCase(std::string name, SafetensorsFile file) : name_(std::move(name)), file_(std::move(file)) {}

  const std::string name_;
  const SafetensorsFile file_;
};

// All cases but sampled_3_steps and filtered, which need options of the shard that do not exist yet.
std::vector<std::string> GoldenCases();

// Of the seed chapter's FeatBlock: the gradient with respect to f from that with respect to (f - mean)/sqrt(var +
// 2e-5).
at::Tensor ThroughStandardize(const at::Tensor& f, const at::Tensor& gradient);

}  // namespace arcshard::worker
