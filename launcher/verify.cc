#include "launcher/verify.h"

#include <cstdio>
#include <memory>

#include "ATen/Parallel.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "worker/backbone/backbone_file.h"
#include "worker/training/evaluation.h"

namespace arcshard::launcher {

absl::Status VerifyBackbone(const VerifyOptions& options) {
  if (options.threads > 0) at::set_num_threads(options.threads);
  ASSIGN_OR_RETURN(const std::unique_ptr<worker::Backbone> backbone, worker::OpenBackbone(options.backbone));
  ASSIGN_OR_RETURN(const auto sets, worker::LoadVerificationSets(options.sets));
  const worker::EmbedOptions embed = {
      .normalization = {static_cast<float>(options.pixel_mean), static_cast<float>(options.pixel_std)},
      .batch_size = options.batch};
  for (const auto& set : sets) {
    ASSIGN_OR_RETURN(const worker::VerificationResult result, worker::VerifySet(backbone.get(), *set, embed));
    absl::PrintF("%s: accuracy %.4f ± %.4f, threshold %.2f, xnorm %.2f, %d pairs\n", set->name(), result.accuracy,
                 result.accuracy_std, result.best_threshold, result.xnorm, set->pairs());
    std::fflush(stdout);
  }
  return absl::OkStatus();
}

}  // namespace arcshard::launcher
