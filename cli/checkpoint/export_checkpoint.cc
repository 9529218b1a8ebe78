#include "cli/checkpoint/export_checkpoint.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/manifest.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/io/file.h"
#include "common/io/output_file.h"
#include "common/io/safetensors.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

constexpr int64_t kValuesAtOnce = int64_t{1} << 20;  // 4 MiB of float32
constexpr absl::string_view kBackbone = "backbone.safetensors";

// The folder of the run that the checkpoint in `folder` belongs to; empty: it lies in none, as an imported one.
std::string RunOf(const std::string& folder) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(folder, error).lexically_normal();
  if (!path.has_filename()) path = path.parent_path();  // it ended with a slash
  const std::string checkpoints = path.parent_path().string(), run = FolderOf(checkpoints);
  return checkpoints == CheckpointsOf(run) ? run : "";
}

// Whether `path` is a file that a run keeps in its folder. Exported files may lie directly in it, where a run has no
// .safetensors.
bool IsOfRun(const std::string& path, const std::string& run) {
  std::error_code error;
  if (path.empty() || run.empty() || !std::filesystem::exists(path, error) || !IsWithin(path, run)) return false;
  return !absl::EndsWith(path, ".safetensors") || !IsSameFile(FolderOf(path), run);
}

// Checks the files to write. What is in the checkpoint or its run is not replaced.
absl::Status CheckOutputs(const ExportOptions& options, const OpenCheckpoint& checkpoint) {
  std::vector<std::string> inputs = {absl::StrCat(checkpoint.folder(), "/", kManifestName)};
  for (const FileRecord& file : checkpoint.manifest().files) {
    inputs.push_back(absl::StrCat(checkpoint.folder(), "/", file.name));
  }
  for (const std::string* path : {&options.centers, &options.backbone}) {
    if (path->empty()) continue;
    RETURN_IF_ERROR(CheckOutputFile(*path, options.force, inputs));
    if (IsOfRun(*path, RunOf(checkpoint.folder()))) {
      return absl::FailedPreconditionError(absl::StrCat(*path, " is a file of the run: it is not replaced"));
    }
  }
  if (IsSameFile(options.centers, options.backbone)) {
    return absl::InvalidArgumentError(
        absl::StrCat(options.backbone, " would get the class centers and the backbone: name two files"));
  }
  return absl::OkStatus();
}

// The type of the shards' rows; if they differ, the wider one.
absl::StatusOr<TensorDtype> HeldDtype(const OpenCheckpoint& checkpoint) {
  bool any = false;
  for (const FileRecord& record : checkpoint.manifest().files) {
    if (!absl::StartsWith(record.name, "class_centers")) continue;
    ASSIGN_OR_RETURN(const SafetensorsFile file, checkpoint.File(record.name));
    for (const auto& [name, entry] : file.entries()) {
      if (!absl::StartsWith(name, "class_centers")) continue;
      if (entry.dtype != TensorDtype::kBF16) return TensorDtype::kF32;
      any = true;
    }
  }
  return any ? TensorDtype::kBF16 : TensorDtype::kF32;
}

class CentersWriter {
 public:
  CentersWriter(SafetensorsWriter writer, TensorDtype dtype) : writer_(std::move(writer)), dtype_(dtype) {}

  absl::Status Append(absl::Span<const float> values) {
    if (dtype_ == TensorDtype::kF32) return writer_.Append<float>("class_centers", values);
    narrow_.resize(values.size());  // the values were bfloat16, so their lower half is 0
    std::transform(values.begin(), values.end(), narrow_.begin(),
                   [](float value) { return static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16); });
    return writer_.AppendBytes(
        "class_centers", dtype_,
        absl::MakeConstSpan(reinterpret_cast<const std::byte*>(narrow_.data()), 2 * narrow_.size()));
  }
  absl::Status Finish() { return writer_.Finish(); }

 private:
  SafetensorsWriter writer_;
  const TensorDtype dtype_;
  std::vector<uint16_t> narrow_;
};

absl::StatusOr<std::string> ExportCenters(const OpenCheckpoint& checkpoint, const ExportOptions& options) {
  ASSIGN_OR_RETURN(const ClassRows rows, ClassRows::Of(checkpoint));
  const int64_t classes = rows.num_classes(), dim = rows.dim();
  if (classes == 0) return absl::NotFoundError(absl::StrCat(checkpoint.folder(), ": has no class centers"));
  const ClassRange range = options.rows.value_or(ClassRange{0, classes});
  if (range.end > classes) {
    return absl::InvalidArgumentError(absl::StrCat(checkpoint.folder(), ": has ", classes,
                                                   " classes, so there are no rows ", range.begin, ":", range.end));
  }
  TensorDtype dtype = TensorDtype::kF32;
  if (options.as_held) {
    ASSIGN_OR_RETURN(dtype, HeldDtype(checkpoint));
  }
  ASSIGN_OR_RETURN(SafetensorsWriter file,
                   SafetensorsWriter::Create(options.centers, {{"class_centers", dtype, {range.size(), dim}}},
                                             {{"format", "pt"},
                                              {"num_classes", absl::StrCat(classes)},
                                              {"range", absl::StrCat(range.begin, "-", range.end)},
                                              {"step", absl::StrCat(checkpoint.manifest().step)}}));
  CentersWriter writer(std::move(file), dtype);
  std::vector<float> block;
  const int64_t at_once = std::max<int64_t>(1, kValuesAtOnce / dim);
  for (int64_t begin = range.begin; begin < range.end; begin += at_once) {
    const int64_t end = std::min(range.end, begin + at_once);
    block.resize(static_cast<size_t>((end - begin) * dim));
    RETURN_IF_ERROR(rows.Read(RowKind::kCenters, {begin, end}, absl::MakeSpan(block)));
    RETURN_IF_ERROR(writer.Append(block));
  }
  RETURN_IF_ERROR(writer.Finish());
  const absl::string_view type = DtypeName(dtype);
  return absl::StrCat(PrintableLine(options.centers), ": class_centers, ", range.size(), "×", dim, " ", type,
                      ", classes ", range.begin, " to ", range.end - 1, "\n");
}

template <typename T>
absl::Status CopyTensor(const SafetensorsFile& from, const std::string& name, SafetensorsWriter* to) {
  ASSIGN_OR_RETURN(const std::vector<T> values, from.Read<T>(name));
  return to->Append<T>(name, values);
}

absl::StatusOr<std::string> ExportBackbone(const OpenCheckpoint& checkpoint, const ExportOptions& options) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, checkpoint.File(kBackbone));
  std::vector<TensorSpec> specs;
  for (const auto& [name, entry] : file.entries()) specs.push_back({name, entry.dtype, entry.shape});
  std::stable_sort(specs.begin(), specs.end(),
                   [](const TensorSpec& a, const TensorSpec& b) { return DtypeSize(a.dtype) > DtypeSize(b.dtype); });
  ASSIGN_OR_RETURN(SafetensorsWriter writer, SafetensorsWriter::Create(options.backbone, specs, file.metadata()));
  for (const TensorSpec& spec : specs) {
    RETURN_IF_ERROR(spec.dtype == TensorDtype::kI64 ? CopyTensor<int64_t>(file, spec.name, &writer)
                                                    : CopyTensor<float>(file, spec.name, &writer));
  }
  RETURN_IF_ERROR(writer.Finish());
  const auto network = file.metadata().find("backbone");
  return absl::StrCat(PrintableLine(options.backbone), ": backbone ",
                      network == file.metadata().end() ? "" : PrintableLine(network->second) + ", ", specs.size(),
                      " tensors under InsightFace's names\n");
}

}  // namespace

absl::StatusOr<std::string> ExportCheckpoint(FileSystem* files, const ExportOptions& options) {
  ASSIGN_OR_RETURN(const std::string folder, ResolveCheckpoint(files, options.checkpoint));
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(files, folder));
  RETURN_IF_ERROR(CheckOutputs(options, checkpoint));
  if (!options.backbone.empty() && !checkpoint.Has(kBackbone)) {
    return absl::NotFoundError(absl::StrCat(folder, ": has no backbone"));
  }
  std::string text;
  if (!options.centers.empty()) {
    ASSIGN_OR_RETURN(const std::string centers, ExportCenters(checkpoint, options));
    absl::StrAppend(&text, centers);
  }
  if (!options.backbone.empty()) {
    ASSIGN_OR_RETURN(const std::string backbone, ExportBackbone(checkpoint, options));
    absl::StrAppend(&text, backbone);
  }
  return text;
}

}  // namespace arcshard::cli
