#include "worker/loss/margin_loss.h"

#include <cmath>
#include <utility>
#include <vector>

#include "ATen/TensorOperators.h"
#include "ATen/ops/index_select.h"
#include "ATen/ops/mul.h"
#include "ATen/ops/softplus.h"
#include "ATen/ops/sum.h"
#include "ATen/ops/tensor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/safetensors.h"

namespace arcshard::worker {
namespace {

constexpr double kLargestScale = 80.0;     // above it exp(logit - shift) overflows float32 (DESIGN §1)
constexpr double kAdaFaceEpsilon = 1e-3;   // as in the authors' code
constexpr double kSoftplusThreshold = 40;  // above it ln(1 + e^x) equals x even in float64

absl::Status Check(bool holds, absl::string_view key, absl::string_view rule, double value) {
  if (holds) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(key, " ", rule, ", not ", value));
}

struct Parts {
  std::unique_ptr<MarginSource> margins;
  double m1 = 1.0;
  double clip_angle = 0.0;
};

absl::StatusOr<Parts> FixedParts(double m1, double m2, double m3) {
  RETURN_IF_ERROR(
      Check(std::isfinite(m1) && m1 > 0, "loss: the margin m1, a factor of the angle,", "must be above 0", m1));
  RETURN_IF_ERROR(Check(std::isfinite(m2), "loss: the margin m2", "must be finite", m2));
  RETURN_IF_ERROR(Check(std::isfinite(m3), "loss: the margin m3", "must be finite", m3));
  return Parts{.margins = FixedMargins(m1, m2, m3), .m1 = m1};
}

absl::StatusOr<Parts> ElasticParts(const RunConfig::Loss& config, uint64_t seed) {
  RETURN_IF_ERROR(Check(std::isfinite(config.m), "loss.m", "must be finite", config.m));
  RETURN_IF_ERROR(Check(std::isfinite(config.elastic_std) && config.elastic_std >= 0, "loss.elastic_std",
                        "must be at least 0", config.elastic_std));
  return Parts{.margins = ElasticMargins(config.m, config.elastic_std, seed)};
}

absl::StatusOr<Parts> AdaFaceParts(const RunConfig::Loss& config) {
  const double alpha = config.adaface_t_alpha;
  RETURN_IF_ERROR(Check(std::isfinite(config.m), "loss.m", "must be finite", config.m));
  RETURN_IF_ERROR(Check(std::isfinite(config.adaface_h) && config.adaface_h >= 0, "loss.adaface_h",
                        "must be at least 0", config.adaface_h));
  RETURN_IF_ERROR(Check(alpha >= 0 && alpha <= 1, "loss.adaface_t_alpha", "must lie in [0, 1]", alpha));
  return Parts{.margins = AdaFaceMargins(config.m, config.adaface_h, alpha), .clip_angle = kAdaFaceEpsilon};
}

absl::StatusOr<Parts> MagFaceParts(const RunConfig::Loss& config) {
  const MagFaceOptions options{.low = config.magface_low,
                               .high = config.magface_high,
                               .low_margin = config.magface_low_margin,
                               .high_margin = config.magface_high_margin,
                               .lambda = config.magface_lambda};
  RETURN_IF_ERROR(
      Check(std::isfinite(options.low) && options.low > 0, "loss.magface_low", "must be above 0", options.low));
  RETURN_IF_ERROR(Check(std::isfinite(options.high) && options.high > options.low, "loss.magface_high",
                        absl::StrCat("must be above loss.magface_low, ", options.low), options.high));
  RETURN_IF_ERROR(
      Check(std::isfinite(options.low_margin), "loss.magface_low_margin", "must be finite", options.low_margin));
  RETURN_IF_ERROR(
      Check(std::isfinite(options.high_margin), "loss.magface_high_margin", "must be finite", options.high_margin));
  RETURN_IF_ERROR(Check(std::isfinite(options.lambda) && options.lambda >= 0, "loss.magface_lambda",
                        "must be at least 0", options.lambda));
  return Parts{.margins = MagFaceMargins(options)};
}

absl::StatusOr<Parts> PartsOf(const RunConfig::Loss& config, uint64_t seed) {
  if (config.margin == "arcface") return FixedParts(1.0, config.m, 0.0);
  if (config.margin == "cosface") return FixedParts(1.0, 0.0, config.m);
  if (config.margin == "sphereface") return FixedParts(config.m, 0.0, 0.0);
  if (config.margin == "combined") return FixedParts(config.m1, config.m2, config.m3);
  if (config.margin == "softmax") return FixedParts(1.0, 0.0, 0.0);
  if (config.margin == "elastic") return ElasticParts(config, seed);
  if (config.margin == "adaface") return AdaFaceParts(config);
  if (config.margin == "magface") return MagFaceParts(config);
  return absl::InvalidArgumentError(
      absl::StrCat("loss.margin \"", config.margin,
                   "\" is none of arcface, cosface, sphereface, combined, softmax, elastic, adaface, magface"));
}

absl::StatusOr<at::Tensor> ReadClassWeights(const std::string& path, int64_t num_classes) {
  if (path.empty()) return at::Tensor();
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  ASSIGN_OR_RETURN(const std::vector<float> weights, file.Read<float>("weights"));
  if (static_cast<int64_t>(weights.size()) != num_classes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": \"weights\" has ", weights.size(), " values, but there are ", num_classes, " classes"));
  }
  for (size_t i = 0; i < weights.size(); ++i) {
    if (!std::isfinite(weights[i]) || weights[i] < 0) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": the weight of class ", i, " is ", weights[i],
                                                     ", but it must be finite and at least 0"));
    }
  }
  return at::tensor(weights).to(at::kDouble);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MarginLoss>> MarginLoss::Create(const RunConfig::Loss& config, double scale,
                                                               uint64_t seed, int64_t num_classes) {
  RETURN_IF_ERROR(Check(scale > 0 && scale <= kLargestScale, "head.scale",
                        "must lie in (0, 80], because exp(logit - shift) overflows float32 above it", scale));
  if (config.gradient != "exact" && config.gradient != "straight_through") {
    return absl::InvalidArgumentError(
        absl::StrCat("loss.gradient \"", config.gradient, "\" is neither exact nor straight_through"));
  }
  ASSIGN_OR_RETURN(Parts parts, PartsOf(config, seed));
  RETURN_IF_ERROR(Check(!config.monotonic || parts.m1 == 1.0, "loss.monotonic",
                        "continues cos(theta + m2) past pi, which is defined only for m1 = 1", parts.m1));
  ASSIGN_OR_RETURN(at::Tensor class_weights, ReadClassWeights(config.class_weights, num_classes));
  const TargetLogitOptions target{.scale = scale,
                                  .straight_through = config.gradient == "straight_through",
                                  .monotonic = config.monotonic,
                                  .clip_angle = parts.clip_angle};
  return std::make_unique<MarginLoss>(target, std::move(parts.margins), std::move(class_weights));
}

MarginLoss::MarginLoss(const TargetLogitOptions& target, std::unique_ptr<MarginSource> margins,
                       at::Tensor class_weights)
    : target_(target), margins_(std::move(margins)), class_weights_(std::move(class_weights)) {}

at::Tensor MarginLoss::SampleLoss(const at::Tensor& cosine, const at::Tensor& lse, const at::Tensor& norm,
                                  const LossContext& context) {
  const at::Tensor target = TargetLogit(cosine, margins_->MarginsOf(norm, context), target_);
  return at::softplus(lse - target, /*beta=*/1, kSoftplusThreshold);
}

at::Tensor MarginLoss::Total(const at::Tensor& sample_loss, const at::Tensor& norm, const at::Tensor& labels,
                             const LossContext& context) const {
  at::Tensor each = sample_loss;
  if (context.sample_weights.defined()) each = each * context.sample_weights.to(each.options());
  if (class_weights_.defined()) {
    each = each * class_weights_.index_select(0, labels.to(class_weights_.device())).to(each.device());
  }
  if (const at::Tensor penalty = margins_->Penalty(norm); penalty.defined()) each = each + penalty;
  return each.sum() / static_cast<double>(context.global_batch);
}

}  // namespace arcshard::worker
