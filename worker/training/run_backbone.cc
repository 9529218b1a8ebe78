#include "worker/training/run_backbone.h"

#include "absl/strings/match.h"
#include "common/base/status_macros.h"
#include "worker/backbone/backbone_file.h"

namespace arcshard::worker {

BackboneOptions BackboneOptionsOf(const RunConfig& config, int64_t num_classes) {
  constexpr int64_t kFewClasses = 20'000;
  const RunConfig::Backbone& backbone = config.backbone;
  const bool drops = absl::StartsWith(backbone.name, "faceresnet") && num_classes <= kFewClasses;
  BackboneOptions options;
  options.name = backbone.name;
  options.width = backbone.width;
  options.image_size = config.data.image_size;
  options.embedding_size = backbone.embedding_size;
  options.dropout = backbone.dropout.value_or(drops ? 0.4 : 0.0);
  options.seed = config.run.seed;
  options.compute = backbone.compute == "bfloat16" ? at::kBFloat16 : at::kFloat;
  options.freeze = backbone.freeze;
  return options;
}

OptimizerOptions OptimizerOptionsOf(const RunConfig::Optimizer& optimizer) {
  if (optimizer.kind == "adamw") {
    return AdamWOptions{optimizer.beta1, optimizer.beta2, optimizer.epsilon, optimizer.weight_decay};
  }
  return SgdOptions{optimizer.momentum, optimizer.weight_decay};
}

absl::StatusOr<std::unique_ptr<Backbone>> MakeBackbone(const RunConfig& config, int64_t num_classes) {
  absl::StatusOr<std::unique_ptr<Backbone>> backbone = CreateBackbone(BackboneOptionsOf(config, num_classes));
  if (!backbone.ok()) return Annotate(backbone.status(), "backbone");
  if (config.backbone.init.empty()) return backbone;
  const absl::Status loaded = LoadBackbone(config.backbone.init, backbone->get());
  if (!loaded.ok()) return Annotate(loaded, "backbone.init");
  return backbone;
}

}  // namespace arcshard::worker
