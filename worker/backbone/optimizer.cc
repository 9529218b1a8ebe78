#include "worker/backbone/optimizer.h"

#include <cassert>
#include <utility>
#include <vector>

#include "ATen/ops/_fused_adamw.h"
#include "ATen/ops/_fused_sgd.h"
#include "ATen/ops/zeros.h"
#include "ATen/ops/zeros_like.h"
#include "c10/core/GradMode.h"

namespace arcshard::worker {
namespace {

class Sgd final : public Optimizer {
 public:
  Sgd(at::Tensor values, const SgdOptions& options) : values_(std::move(values)), options_(options) {
    // With a momentum buffer of zeros PyTorch's first step (v = gradient) is no special case. Without momentum there
    // must be no buffer.
    if (options_.momentum != 0) momentum_.push_back(at::zeros_like(values_));
  }

  void Step(const at::Tensor& gradient, double lr) override {
    assert(gradient.numel() == values_.numel());
    c10::NoGradGuard no_grad;
    at::_fused_sgd_({values_}, {gradient}, momentum_, options_.weight_decay, options_.momentum, lr, /*dampening=*/0,
                    /*nesterov=*/false, /*maximize=*/false, /*is_first_step=*/false);
  }
  absl::string_view kind() const override { return "sgd"; }
  std::vector<NamedTensor> state() const override {
    if (momentum_.empty()) return {};
    return {{"momentum", momentum_.front()}};
  }

 private:
  const at::Tensor values_;
  const SgdOptions options_;
  std::vector<at::Tensor> momentum_;
};

class AdamW final : public Optimizer {
 public:
  AdamW(at::Tensor values, const AdamWOptions& options)
      : values_(std::move(values)),
        options_(options),
        first_(at::zeros_like(values_)),
        second_(at::zeros_like(values_)),
        steps_(at::zeros({}, values_.options())) {}

  void Step(const at::Tensor& gradient, double lr) override {
    assert(gradient.numel() == values_.numel());
    c10::NoGradGuard no_grad;
    steps_.add_(1);
    at::_fused_adamw_({values_}, {gradient}, {first_}, {second_}, /*max_exp_avg_sqs=*/{}, {steps_}, lr, options_.beta1,
                      options_.beta2, options_.weight_decay, options_.epsilon, /*amsgrad=*/false, /*maximize=*/false);
  }
  absl::string_view kind() const override { return "adamw"; }
  std::vector<NamedTensor> state() const override {
    return {{"first_moment", first_}, {"second_moment", second_}, {"steps", steps_}};
  }

 private:
  const at::Tensor values_;
  const AdamWOptions options_;
  const at::Tensor first_, second_;  // m, v
  const at::Tensor steps_;           // n, for ATen a float32 scalar, which is exact up to 2^24
};

}  // namespace

std::unique_ptr<Optimizer> Optimizer::Create(at::Tensor values, const OptimizerOptions& options) {
  if (const auto* sgd = std::get_if<SgdOptions>(&options)) return std::make_unique<Sgd>(std::move(values), *sgd);
  return std::make_unique<AdamW>(std::move(values), std::get<AdamWOptions>(options));
}

}  // namespace arcshard::worker
