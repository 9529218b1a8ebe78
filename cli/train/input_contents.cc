#include "cli/train/input_contents.h"

#include <algorithm>
#include <memory>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/io/file_system.h"
#include "common/io/safetensors.h"
#include "common/protocol/sample_plan.h"
#include "worker/data/formats/verification_set.h"
#include "worker/data/open_dataset.h"
#include "worker/data/tools/survey.h"

namespace arcshard::cli {
namespace {

constexpr int64_t kSamplesToDecode = 64;

// Decodes samples from the whole set. Damaged ones are named; training replaces them.
absl::Status DecodeSome(const worker::Dataset& dataset, int side, std::vector<std::string>* found) {
  worker::SampleBuffers buffers;
  const int64_t count = std::min(dataset.samples(), kSamplesToDecode);
  std::string example;
  int64_t damaged = 0;
  for (int64_t i = 0; i < count; ++i) {
    const absl::Status status = dataset.Read(dataset.samples() * i / count, side, &buffers).status();
    if (status.ok()) continue;
    if (!absl::IsDataLoss(status)) return status;
    if (damaged++ == 0) example = std::string(status.message());
  }
  if (damaged == 0) return absl::OkStatus();
  const std::string text = absl::StrCat(damaged, " of ", count, " images that were tried are damaged: ", example,
                                        damaged > 1 ? "; ..." : "", " (arcshard data check names all)");
  if (damaged == count) return absl::DataLossError(text);
  found->push_back(absl::StrCat("warning: ", text));
  return absl::OkStatus();
}

absl::Status InspectData(const RunConfig& config, std::vector<std::string>* found) {
  ASSIGN_OR_RETURN(const std::unique_ptr<worker::Dataset> dataset,
                   worker::OpenDataset(worker::DatasetOptionsOf(config)));
  found->push_back(
      absl::StrCat(dataset->path(), ": ", dataset->samples(), " samples of ", dataset->classes(), " classes"));
  for (const std::string& warning : dataset->Warnings()) found->push_back(absl::StrCat("warning: ", warning));
  RETURN_IF_ERROR(SamplePlanOf(config, static_cast<uint64_t>(dataset->samples())).status());
  return DecodeSome(*dataset, config.data.image_size, found);
}

absl::Status InspectSet(const std::string& path, std::vector<std::string>* found) {
  ASSIGN_OR_RETURN(const std::unique_ptr<worker::VerificationSet> set, worker::VerificationSet::Load(path));
  const int threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  RETURN_IF_ERROR(worker::CheckSound(worker::SurveySet(*set, threads), path, "verified", false));
  found->push_back(absl::StrCat(path, ": ", set->pairs(), " pairs"));
  return absl::OkStatus();
}

absl::Status InspectTensors(const std::string& path, std::vector<std::string>* found) {
  if (path.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  found->push_back(absl::StrCat(path, ": ", file.entries().size(), " tensors"));
  return absl::OkStatus();
}

absl::Status InspectCheckpoint(const std::string& path, std::vector<std::string>* found) {
  if (path.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::string folder, ResolveCheckpoint(RealFileSystem(), path));
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(RealFileSystem(), folder));
  found->push_back(absl::StrCat(folder, ": a checkpoint of step ", checkpoint.manifest().step));
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> InspectInputs(const RunConfig& config, bool resumes) {
  std::vector<std::string> found;
  RETURN_IF_ERROR(Annotate(InspectData(config, &found), "data.train"));
  for (const std::string& set : config.verification.sets) {
    RETURN_IF_ERROR(Annotate(InspectSet(set, &found), "verification.sets"));
  }
  if (!resumes) {
    RETURN_IF_ERROR(Annotate(InspectTensors(config.head.init, &found), "head.init"));
    RETURN_IF_ERROR(Annotate(InspectTensors(config.backbone.init, &found), "backbone.init"));
    RETURN_IF_ERROR(Annotate(InspectCheckpoint(config.init_from.checkpoint, &found), "init_from.checkpoint"));
  }
  RETURN_IF_ERROR(Annotate(InspectTensors(config.loss.class_weights, &found), "loss.class_weights"));
  return found;
}

}  // namespace arcshard::cli
