#include "worker/loss/testing/golden_case.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "ATen/TensorOperators.h"
#include "ATen/ops/equal.h"
#include "ATen/ops/isfinite.h"
#include "ATen/ops/ones_like.h"
#include "ATen/ops/sqrt.h"
#include "ATen/ops/tensor.h"
#include "ATen/ops/var.h"
#include "ATen/ops/where.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "gtest/gtest.h"
#include "test_paths.h"

namespace arcshard::worker {
namespace {

double Number(absl::string_view text) {
  double value = 0;
  EXPECT_TRUE(absl::SimpleAtod(text, &value)) << text;
  return value;
}

// Margins that the case has for each sample of the global batch.
class GivenMargins : public MarginSource {
 public:
  explicit GivenMargins(Margins margins) : margins_(std::move(margins)) {}

  Margins MarginsOf(const at::Tensor& norm, const LossContext& context) override {
    const auto slice = [&](const at::Tensor& all) { return all.narrow(0, context.first_sample, norm.size(0)); };
    return {slice(margins_.m1), slice(margins_.m2), slice(margins_.m3)};
  }

 private:
  Margins margins_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<GoldenCase>> GoldenCase::Open(const std::string& name, Products products) {
  const char* other = std::getenv("ARCSHARD_GOLDEN_DIR");
  const std::string folder = other != nullptr ? other : ARCSHARD_SOURCE_DIR "/tests/data/golden";
  ASSIGN_OR_RETURN(SafetensorsFile file, SafetensorsFile::Open(absl::StrCat(folder, "/", name, ".safetensors")));
  return std::unique_ptr<GoldenCase>(new GoldenCase(name, std::move(file), products));
}

double GoldenCase::Real(const std::string& key) const { return Number(Text(key)); }

uint64_t GoldenCase::sampling_seed() const {
  uint64_t seed = 0;
  EXPECT_TRUE(absl::SimpleAtoi(Text("sampling_seed"), &seed)) << Text("sampling_seed");
  return seed;
}

std::vector<int64_t> GoldenCase::MicroBatches() const {
  std::vector<int64_t> sizes;
  for (const absl::string_view size : absl::StrSplit(Text("micro_batches"), ',')) {
    sizes.push_back(static_cast<int64_t>(Number(size)));
  }
  return sizes;
}

at::Tensor GoldenCase::Reals(const std::string& tensor) const {
  const auto values = file_.Read<double>(tensor);
  EXPECT_TRUE(values.ok()) << values.status();
  return at::tensor(*values).view((*file_.Find(tensor))->shape);
}

at::Tensor GoldenCase::Reals(const std::string& tensor, int step) const {
  return Reals(absl::StrCat(tensor, "_", step));
}

at::Tensor GoldenCase::Labels(int step) const {
  const auto values = file_.Read<int64_t>(absl::StrCat("labels_", step));
  EXPECT_TRUE(values.ok()) << values.status();
  return at::tensor(*values);
}

at::Tensor GoldenCase::Active(int step) const {
  const auto values = file_.Read<uint8_t>(absl::StrCat("active_", step));
  EXPECT_TRUE(values.ok()) << values.status();
  return at::tensor(*values).to(at::kBool);
}

// α and t contain P, the softmax of the negatives, and are off by (1 - P) of what lse is off.
double GoldenCase::Tolerance(int step) const {
  if (products_ == Products::kFloat32) return name_ == "near_0_and_pi" ? 2e-3 : 5e-5;
  const at::Tensor alpha = Reals("alpha", step);
  const at::Tensor omega = Flag("weighted") ? Reals("omega", step) : at::ones_like(alpha);
  const at::Tensor negatives = at::where(omega > 0.0, alpha * static_cast<double>(alpha.size(0)) / omega, 0.0);
  const double largest = alpha.max().item<double>();
  const double by_lse = largest == 0.0 ? 0.0 : (alpha * (1.0 - negatives)).max().item<double>() / largest;
  return Bounds().gradients + by_lse * Bounds().lse;
}

double GoldenCase::LseTolerance(int updates, double largest) const {
  return products_ == Products::kFloat32 ? 5e-6 * std::max(1.0, largest) + LogitToleranceOfUpdates(updates)
                                         : Bounds().lse;
}

// The derivative of the loss by a sample's lse is its α.
double GoldenCase::LossTolerance(int step, int updates) const {
  if (products_ == Products::kFloat32) {
    return 5e-6 * std::max(1.0, Reals("loss", step).item<double>()) + LogitToleranceOfUpdates(updates);
  }
  return Bounds().lse * Reals("alpha", step).sum().item<double>();
}

std::unique_ptr<MarginLoss> GoldenCase::Loss(int step) const {
  if (Flag("per_sample")) {
    const TargetLogitOptions options{.scale = Real("scale"),
                                     .straight_through = Text("gradient") == "straight_through",
                                     .monotonic = Flag("monotonic"),
                                     .clip_angle = Real("clip_angle")};
    return std::make_unique<MarginLoss>(
        options, std::make_unique<GivenMargins>(Margins{Reals("m1", step), Reals("m2", step), Reals("m3", step)}));
  }
  RunConfig::Loss config;
  config.margin = "combined";
  config.m1 = Real("m1");
  config.m2 = Real("m2");
  config.m3 = Real("m3");
  config.gradient = Text("gradient");
  config.monotonic = Flag("monotonic");
  if (!Text("magface").empty()) {
    const std::vector<std::string> numbers = absl::StrSplit(Text("magface"), ',');
    config.margin = "magface";
    config.magface_low = Number(numbers.at(0));
    config.magface_high = Number(numbers.at(1));
    config.magface_low_margin = Number(numbers.at(2));
    config.magface_high_margin = Number(numbers.at(3));
    config.magface_lambda = Number(numbers.at(4));
  }
  auto loss = MarginLoss::Create(config, Real("scale"), /*seed=*/1, Reals("W_0").size(0));
  EXPECT_TRUE(loss.ok()) << loss.status();
  return *std::move(loss);
}

at::Tensor GoldenCase::SampleWeights(int step, int64_t first, int64_t size) const {
  return Flag("weighted") ? Reals("omega", step).narrow(0, first, size) : at::Tensor();
}

void GoldenCase::ExpectClose(const at::Tensor& got, const std::string& tensor, int step, int updates) const {
  SCOPED_TRACE(absl::StrCat(tensor, "_", step));
  const at::Tensor reference = Reals(tensor, step), x = got.to(at::kDouble);
  ASSERT_EQ(x.sizes(), reference.sizes());
  const at::Tensor finite = at::isfinite(reference);
  ASSERT_TRUE(at::equal(at::where(finite, 0.0, x), at::where(finite, 0.0, reference)));
  const double largest = at::where(finite, reference, 0.0).abs().max().item<double>();
  const double worst = at::where(finite, (x - reference).abs(), 0.0).max().item<double>();
  EXPECT_LE(worst, tensor == "lse" ? LseTolerance(updates, largest) : Tolerance(step) * largest);
}

void GoldenCase::ExpectLossClose(double got, int step, int updates) const {
  EXPECT_NEAR(got, Reals("loss", step).item<double>(), LossTolerance(step, updates)) << "loss_" << step;
}

std::vector<std::string> GoldenCases() {
  std::vector<std::string> cases = GoldenCasesOfTheLoss();
  cases.insert(cases.end(), {"filtered", "sampled_3_steps"});
  return cases;
}

std::vector<std::string> GoldenCasesOfTheLoss() {
  return {"adaface",
          "almost_learned",
          "arcface",
          "arcface_monotonic",
          "arcface_scale_1",
          "arcface_straight_through",
          "combined",
          "cosface",
          "magface",
          "more_samples_than_classes",
          "near_0_and_pi",
          "negative_margin_few_classes",
          "one_class",
          "one_sample",
          "per_sample_margins",
          "seed_chapter",
          "softmax",
          "sphereface",
          "three_steps_wide",
          "uneven_micro_batches",
          "weighted",
          "zero_vectors"};
}

at::Tensor ThroughStandardize(const at::Tensor& f, const at::Tensor& gradient) {
  const at::Tensor std = at::sqrt(at::var(f, 0, /*unbiased=*/false) + 2e-5);
  const at::Tensor x = (f - f.mean(0)) / std;
  return (gradient - gradient.mean(0) - x * (gradient * x).mean(0)) / std;
}

}  // namespace arcshard::worker
