#include "worker/training/model_keeper.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "worker/backbone/backbone_file.h"

namespace arcshard::worker {

ModelKeeper::ModelKeeper(Options options) : options_(std::move(options)) {}

absl::Status ModelKeeper::AfterEvaluation(const Backbone& backbone, uint64_t step,
                                          const std::vector<VerificationReport>& reports, bool writes) {
  BestVerification best = best_;
  if (!best.Take(step, reports)) return absl::OkStatus();
  if (options_.keep_best && writes) {
    RETURN_IF_ERROR(Write(backbone, "best_backbone.safetensors",
                          {{"step", absl::StrCat(step)}, {"accuracy", absl::StrFormat("%.6f", best.accuracy)}}));
  }
  best_ = std::move(best);
  return absl::OkStatus();
}

absl::Status ModelKeeper::WriteFinal(const Backbone& backbone, uint64_t step) const {
  return Write(backbone, "backbone.safetensors", {{"step", absl::StrCat(step)}});
}

absl::Status ModelKeeper::Write(const Backbone& backbone, absl::string_view name,
                                const SafetensorsMetadata& metadata) const {
  const std::string folder = absl::StrCat(options_.run_folder, "/model");
  RETURN_IF_ERROR(CreateFolders(folder));
  return SaveBackbone(backbone, absl::StrCat(folder, "/", name), metadata);
}

}  // namespace arcshard::worker
