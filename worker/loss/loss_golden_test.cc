#include <cstdlib>
#include <limits>
#include <map>
#include <string>
#include <vector>

#include "ATen/ops/cat.h"
#include "ATen/ops/equal.h"
#include "ATen/ops/full_like.h"
#include "ATen/ops/isfinite.h"
#include "ATen/ops/mean.h"
#include "ATen/ops/ones.h"
#include "ATen/ops/sqrt.h"
#include "ATen/ops/tensor.h"
#include "ATen/ops/var.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/io/safetensors.h"
#include "gtest/gtest.h"
#include "worker/loss/loss_test_util.h"

// The loss against the reference cases of tests/data/golden (README.md there says what each tensor is).
namespace arcshard::worker {
namespace {

std::string Folder() {
  const char* other = std::getenv("ARCSHARD_GOLDEN_DIR");
  return other != nullptr ? other : ARCSHARD_SOURCE_DIR "/tests/data/golden";
}

double Number(absl::string_view text) {
  double value = 0;
  EXPECT_TRUE(absl::SimpleAtod(text, &value)) << text;
  return value;
}

// Margins that the case gives for each sample of the global batch.
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

class LossGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    auto file = SafetensorsFile::Open(absl::StrCat(Folder(), "/", GetParam(), ".safetensors"));
    ASSERT_TRUE(file.ok()) << file.status();
    file_ = std::make_unique<SafetensorsFile>(*std::move(file));
  }

  const std::string& Meta(const std::string& key) const { return file_->metadata().at(key); }
  bool Flag(const std::string& key) const { return Meta(key) == "true"; }
  double Real(const std::string& key) const { return Number(Meta(key)); }

  at::Tensor Reals(const std::string& name) const {
    const auto values = file_->Read<double>(name);
    EXPECT_TRUE(values.ok()) << values.status();
    return at::tensor(*values).view((*file_->Find(name))->shape);
  }

  at::Tensor Labels(int step) const {
    const auto values = file_->Read<int64_t>(absl::StrCat("labels_", step));
    EXPECT_TRUE(values.ok()) << values.status();
    return at::tensor(*values);
  }

  std::vector<int64_t> MicroBatches() const {
    std::vector<int64_t> sizes;
    for (const absl::string_view size : absl::StrSplit(Meta("micro_batches"), ',')) {
      sizes.push_back(static_cast<int64_t>(Number(size)));
    }
    return sizes;
  }

  std::unique_ptr<MarginLoss> LossOfCase(int step) const {
    if (Flag("per_sample")) {
      const auto of = [&](const char* name) { return Reals(absl::StrCat(name, "_", step)); };
      const TargetLogitOptions options{.scale = Real("scale"),
                                       .straight_through = Meta("gradient") == "straight_through",
                                       .monotonic = Flag("monotonic"),
                                       .clip_angle = Real("clip_angle")};
      return std::make_unique<MarginLoss>(options,
                                          std::make_unique<GivenMargins>(Margins{of("m1"), of("m2"), of("m3")}));
    }
    RunConfig::Loss config;
    config.margin = "combined";
    config.m1 = Real("m1");
    config.m2 = Real("m2");
    config.m3 = Real("m3");
    config.gradient = Meta("gradient");
    config.monotonic = Flag("monotonic");
    if (!Meta("magface").empty()) {
      const std::vector<std::string> numbers = absl::StrSplit(Meta("magface"), ',');
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

  double Tolerance() const { return std::string(GetParam()) == "near_0_and_pi" ? 2e-3 : 5e-5; }

  // max|x - reference| / max|reference|; infinities have to be the same ones.
  void ExpectClose(const at::Tensor& got, const std::string& name, int step) const {
    SCOPED_TRACE(absl::StrCat(name, "_", step));
    const at::Tensor reference = Reals(absl::StrCat(name, "_", step));
    at::Tensor x = got.to(at::kDouble);
    ASSERT_EQ(x.sizes(), reference.sizes());
    const at::Tensor finite = at::isfinite(reference);
    ASSERT_TRUE(at::equal(at::where(finite, 0.0, x), at::where(finite, 0.0, reference)));
    const double largest = at::where(finite, reference, 0.0).abs().max().item<double>();
    const double worst = at::where(finite, (x - reference).abs(), 0.0).max().item<double>();
    EXPECT_LE(worst, Tolerance() * largest);
  }

  std::unique_ptr<SafetensorsFile> file_;
};

// Of FeatBlock: the gradient with respect to f from that with respect to (f - mean)/sqrt(var + 2e-5).
at::Tensor ThroughStandardize(const at::Tensor& f, const at::Tensor& gradient) {
  const at::Tensor std = at::sqrt(at::var(f, 0, /*unbiased=*/false) + 2e-5);
  const at::Tensor x = (f - f.mean(0)) / std;
  return (gradient - gradient.mean(0) - x * (gradient * x).mean(0)) / std;
}

TEST_P(LossGolden, EqualsTheUnshardedFloat64Reference) {
  const int steps = static_cast<int>(Real("steps"));
  for (int step = 1; step <= steps; ++step) {
    const at::Tensor labels = Labels(step);
    const at::Tensor centers = Reals(absl::StrCat("W_", step - 1));
    const at::Tensor input = Reals(absl::StrCat(Flag("standardize") ? "S_" : "E_", step)).to(at::kFloat);
    const std::unique_ptr<MarginLoss> loss = LossOfCase(step);

    double total = 0;
    std::map<std::string, std::vector<at::Tensor>> parts;
    LossContext context{.step = static_cast<uint64_t>(step), .global_batch = labels.size(0), .first_sample = 0};
    for (const int64_t size : MicroBatches()) {
      const at::Tensor e = input.narrow(0, context.first_sample, size);
      const at::Tensor y = labels.narrow(0, context.first_sample, size);
      if (Flag("weighted")) {
        context.sample_weights = Reals(absl::StrCat("omega_", step)).narrow(0, context.first_sample, size);
      }
      const SoftmaxStatistics statistics = DenseStatistics(e.to(at::kDouble), y, centers, loss->scale());
      const LossResult result = ComputeLoss(e, y, statistics, Shift(loss->scale(), centers.size(0)), *loss, context);
      EXPECT_TRUE(result.finite);
      EXPECT_NEAR(result.cosine_sum, result.cosine.sum().item<double>(), 1e-4);
      total += result.loss;
      parts["sample_loss"].push_back(result.sample_loss);
      parts["lse"].push_back(result.lse);
      parts["cos"].push_back(result.cosine);
      parts["alpha"].push_back(result.alpha);
      parts["t"].push_back(result.t);
      parts["dE"].push_back(result.d_embedding);
      // What the shards get instead of alpha.
      const at::Tensor r = at::where(statistics.z == 0.0, 0.0, result.alpha * loss->scale() / statistics.z);
      EXPECT_LE((result.r - r).abs().max().item<double>(), 1e-6 * r.abs().max().item<double>());
      context.first_sample += size;
    }

    const double reference = Reals(absl::StrCat("loss_", step)).item<double>();
    EXPECT_NEAR(total, reference, 5e-6 * std::max(1.0, reference));
    for (const auto& [name, tensors] : parts) {
      at::Tensor whole = at::cat(tensors);
      if (name == "dE" && Flag("standardize")) {
        whole = ThroughStandardize(Reals(absl::StrCat("E_", step)), whole.to(at::kDouble));
      }
      ExpectClose(whole, name, step);
    }
  }
}

// All but sampled_3_steps and filtered, which are the shard's affair.
INSTANTIATE_TEST_SUITE_P(Golden, LossGolden,
                         testing::Values("adaface", "almost_learned", "arcface", "arcface_monotonic", "arcface_scale_1",
                                         "arcface_straight_through", "combined", "cosface", "magface",
                                         "more_samples_than_classes", "near_0_and_pi", "negative_margin_few_classes",
                                         "one_class", "one_sample", "per_sample_margins", "seed_chapter", "softmax",
                                         "sphereface", "three_steps_wide", "uneven_micro_batches", "weighted",
                                         "zero_vectors"),
                         [](const auto& each) { return std::string(each.param); });

}  // namespace
}  // namespace arcshard::worker
