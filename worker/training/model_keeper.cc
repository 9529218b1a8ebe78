#include "worker/training/model_keeper.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/run_fence.h"
#include "common/io/file.h"
#include "worker/backbone/backbone_file.h"

namespace arcshard::worker {
absl::Status ModelKeeper::AfterEvaluation(const Backbone& backbone, const Moment& moment, BestVerification best,
                                          const std::vector<VerificationReport>& reports) const {
  if (!options_.keep_best || !best.Take(moment.step, reports)) return absl::OkStatus();
  return Write(backbone, moment, "best_backbone.safetensors", {{"accuracy", absl::StrFormat("%.6f", best.accuracy)}});
}

absl::Status ModelKeeper::WriteFinal(const Backbone& backbone, const Moment& moment) const {
  return Write(backbone, moment, "backbone.safetensors", {});
}

absl::Status ModelKeeper::Write(const Backbone& backbone, const Moment& moment, absl::string_view name,
                                SafetensorsMetadata metadata) const {
  metadata["step"] = absl::StrCat(moment.step);
  NoteView(moment.view, &metadata);
  const std::string folder = absl::StrCat(options_.run_folder, "/model");
  RETURN_IF_ERROR(CreateFolders(folder));
  const std::string path = absl::StrCat(folder, "/", name);
  return SaveBackbone(backbone, path, std::move(metadata), [&] { return Guard(moment.view, path); });
}

absl::Status ModelKeeper::Guard(const View& view, const std::string& path) const {
  if (options_.may_write) RETURN_IF_ERROR(options_.may_write());
  RETURN_IF_ERROR(CheckIncarnation(RealFileSystem(), options_.run_folder, view));
  return CheckReplaced(RealFileSystem(), path, view);
}

}  // namespace arcshard::worker
