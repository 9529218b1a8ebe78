#include "cli/check/state_check.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "ATen/ops/empty.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/safetensors.h"
#include "worker/backbone/backbone.h"
#include "worker/backbone/tensor_file.h"

namespace arcshard::cli {
namespace {

using worker::NamedTensor;

// The name of the first tensor that differs in the file; empty: none does.
absl::StatusOr<std::string> FirstDifference(const absl::StatusOr<SafetensorsFile>& file,
                                            const std::vector<NamedTensor>& tensors) {
  RETURN_IF_ERROR(file.status());
  std::vector<NamedTensor> written;
  for (const NamedTensor& named : tensors) {
    written.push_back({named.name, at::empty(named.tensor.sizes(), named.tensor.scalar_type())});
  }
  RETURN_IF_ERROR(worker::ReadTensors(*file, written));
  for (size_t i = 0; i < tensors.size(); ++i) {
    const at::Tensor computed = tensors[i].tensor.detach().cpu().contiguous();
    const auto a = worker::BytesOf(written[i].tensor), b = worker::BytesOf(computed);
    if (!std::equal(a.begin(), a.end(), b.begin(), b.end())) return tensors[i].name;
  }
  return "";
}

Finding CompareTensors(std::string what, const absl::StatusOr<SafetensorsFile>& file,
                       const std::vector<NamedTensor>& tensors) {
  const absl::StatusOr<std::string> tensor = FirstDifference(file, tensors);
  if (!tensor.ok()) return {std::move(what), absl::StrCat("cannot be compared: ", tensor.status().message())};
  return {std::move(what), tensor->empty() ? "" : absl::StrCat("differs in ", *tensor)};
}

}  // namespace

std::vector<Finding> CompareState(const OpenCheckpoint& checkpoint, const worker::WorkerState& state) {
  const std::string folder = checkpoint.folder().substr(checkpoint.folder().rfind('/') + 1);
  return {CompareTensors(absl::StrCat(folder, "/", worker::kBackboneFile), checkpoint.File(worker::kBackboneFile),
                         state.backbone->state_dict()),
          CompareTensors(absl::StrCat(folder, "/", worker::kOptimizerFile), checkpoint.File(worker::kOptimizerFile),
                         worker::OptimizerTensors(state))};
}

std::optional<Finding> CompareFinalBackbone(const std::string& run_folder, uint64_t step,
                                            const worker::Backbone& backbone) {
  const std::string name = "model/backbone.safetensors";
  const absl::StatusOr<SafetensorsFile> file = SafetensorsFile::Open(absl::StrCat(run_folder, "/", name));
  if (absl::IsNotFound(file.status())) return std::nullopt;
  if (file.ok()) {
    const auto found = file->metadata().find("step");
    if (found != file->metadata().end() && found->second != absl::StrCat(step)) return std::nullopt;
  }
  return CompareTensors(name, file, backbone.state_dict());
}

}  // namespace arcshard::cli
