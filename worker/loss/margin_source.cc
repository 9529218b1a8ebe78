#include "worker/loss/margin_source.h"

#include <cassert>
#include <cmath>
#include <numbers>

#include "ATen/TensorOperators.h"
#include "ATen/ops/clamp.h"
#include "ATen/ops/empty.h"
#include "ATen/ops/full_like.h"
#include "ATen/ops/mean.h"
#include "ATen/ops/ones_like.h"
#include "ATen/ops/reciprocal.h"
#include "ATen/ops/std.h"
#include "ATen/ops/tensor.h"
#include "ATen/ops/zeros_like.h"
#include "common/base/philox.h"

namespace arcshard::worker {
namespace {

class Fixed : public MarginSource {
 public:
  Fixed(double m1, double m2, double m3) : m1_(m1), m2_(m2), m3_(m3) {}

  Margins MarginsOf(const at::Tensor& norm, const LossContext&) override {
    const at::Tensor like = norm.detach();
    return {at::full_like(like, m1_), at::full_like(like, m2_), at::full_like(like, m3_)};
  }

 private:
  const double m1_, m2_, m3_;
};

// Makes these draws differ from those of first weights and class samples, which use the seed itself.
constexpr uint64_t kElasticStream = 0x454C'4153'5449'4346;

// A sample's draw from Normal(0, 1), by Box and Muller's transform of two random words.
double Normal(uint64_t seed, uint64_t step, uint64_t sample) {
  const auto words = Philox(seed ^ kElasticStream, step, sample);
  const double first = words[0] * 0x1p-32, second = words[1] * 0x1p-32;  // in [0, 1)
  return std::sqrt(-2.0 * std::log1p(-first)) * std::cos(2.0 * std::numbers::pi * second);
}

class Elastic : public MarginSource {
 public:
  Elastic(double mean, double std, uint64_t seed) : mean_(mean), std_(std), seed_(seed) {}

  Margins MarginsOf(const at::Tensor& norm, const LossContext& context) override {
    const at::Tensor like = norm.detach();
    const at::Tensor drawn = at::empty({like.size(0)}, at::TensorOptions().dtype(at::kDouble));
    double* m2 = drawn.mutable_data_ptr<double>();
    for (int64_t i = 0; i < drawn.size(0); ++i) {
      m2[i] = mean_ + std_ * Normal(seed_, context.step, static_cast<uint64_t>(context.first_sample + i));
    }
    return {at::ones_like(like), drawn.to(like.device()), at::zeros_like(like)};
  }

 private:
  const double mean_, std_;
  const uint64_t seed_;
};

class AdaFace : public MarginSource {
 public:
  AdaFace(double m, double h, double alpha)
      : m_(m), h_(h), alpha_(alpha), running_(at::tensor({20.0f, 100.0f})) {}  // as in the authors' code

  Margins MarginsOf(const at::Tensor& norm, const LossContext& context) override {
    const at::Tensor safe = at::clamp(norm.detach(), kSmallestNorm, kLargestNorm);
    const double running_mean = running_[0].item<double>(), running_std = running_[1].item<double>();
    const double mean = safe.mean().item<double>();
    // A single sample has no standard deviation, so it leaves the running one unchanged.
    const double std = safe.size(0) > 1 ? at::std(safe, /*unbiased=*/true).item<double>() : running_std;
    if (statistics_ != nullptr) {
      const double share = static_cast<double>(safe.size(0)) / static_cast<double>(context.global_batch);
      statistics_->Deposit(handle_, at::tensor({static_cast<float>(mean), static_cast<float>(std)}), share);
    }
    const double used_mean = (1 - alpha_) * running_mean + alpha_ * mean;
    const double used_std = (1 - alpha_) * running_std + alpha_ * std;
    const at::Tensor quality = at::clamp(h_ * (safe - used_mean) / (used_std + kEpsilon), -1.0, 1.0);
    return {at::ones_like(safe), -m_ * quality, m_ + m_ * quality};
  }

  void RegisterAverages(RunningStatistics& statistics) override {
    assert(statistics_ == nullptr);
    statistics_ = &statistics;
    handle_ = statistics.Register(running_, alpha_);
  }

  at::Tensor averages() const override { return running_; }

 private:
  static constexpr double kSmallestNorm = 1e-3, kLargestNorm = 100.0, kEpsilon = 1e-3;  // as in the authors' code

  const double m_, h_, alpha_;
  const at::Tensor running_;  // mean, std; on the CPU
  RunningStatistics* statistics_ = nullptr;
  RunningStatistics::Handle handle_ = 0;
};

class MagFace : public MarginSource {
 public:
  explicit MagFace(const MagFaceOptions& options) : options_(options) {}

  Margins MarginsOf(const at::Tensor& norm, const LossContext&) override {
    const double slope = (options_.high_margin - options_.low_margin) / (options_.high - options_.low);
    const at::Tensor like = norm.detach();
    return {at::ones_like(like), options_.low_margin + slope * (Within(norm) - options_.low), at::zeros_like(like)};
  }

  at::Tensor Penalty(const at::Tensor& norm) const override {
    const at::Tensor a = Within(norm);
    return options_.lambda * (a / (options_.high * options_.high) + at::reciprocal(a));
  }

 private:
  at::Tensor Within(const at::Tensor& norm) const { return at::clamp(norm, options_.low, options_.high); }

  const MagFaceOptions options_;
};

}  // namespace

at::Tensor MarginSource::Penalty(const at::Tensor&) const { return {}; }

void MarginSource::RegisterAverages(RunningStatistics&) {}

at::Tensor MarginSource::averages() const { return {}; }

std::unique_ptr<MarginSource> FixedMargins(double m1, double m2, double m3) {
  return std::make_unique<Fixed>(m1, m2, m3);
}

std::unique_ptr<MarginSource> ElasticMargins(double mean, double std, uint64_t seed) {
  return std::make_unique<Elastic>(mean, std, seed);
}

std::unique_ptr<MarginSource> AdaFaceMargins(double m, double h, double alpha) {
  return std::make_unique<AdaFace>(m, h, alpha);
}

std::unique_ptr<MarginSource> MagFaceMargins(const MagFaceOptions& options) {
  return std::make_unique<MagFace>(options);
}

}  // namespace arcshard::worker
