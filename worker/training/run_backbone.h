#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/statusor.h"
#include "common/config/run_config.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/optimizer.h"

// The backbone and its optimizer as a run's configuration describes them. num_classes: N of the run.
namespace arcshard::worker {

// backbone.dropout auto: 0.4 in a faceresnet for at most 20,000 classes (the seed chapter's rule), else 0.
BackboneOptions BackboneOptionsOf(const RunConfig& config, int64_t num_classes);

OptimizerOptions OptimizerOptionsOf(const RunConfig::Optimizer& optimizer);

// The backbone that a new run begins with: its weights come from backbone.init, if that is set. Errors of
// CreateBackbone and LoadBackbone, annotated with the key of the configuration.
absl::StatusOr<std::unique_ptr<Backbone>> MakeBackbone(const RunConfig& config, int64_t num_classes);

}  // namespace arcshard::worker
