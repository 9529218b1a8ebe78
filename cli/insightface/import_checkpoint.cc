#include "cli/insightface/import_checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "cli/insightface/insightface_state.h"
#include "cli/insightface/match_backbone.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/manifest.h"
#include "common/checkpoint/part_writer.h"
#include "common/io/output_file.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

constexpr int64_t kValuesAtOnce = int64_t{1} << 18;  // 1 MiB of float32

template <typename T>
absl::Span<const std::byte> BytesOf(absl::Span<const T> values) {
  return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T));
}

// BatchNorm's count of steps is an integer of 64 bits, whatever it was converted to with the others.
bool IsCounter(const TensorInFile& tensor) {
  if (absl::EndsWith(tensor.name, "num_batches_tracked")) return true;
  switch (tensor.tensor.dtype) {
    case TensorDtype::kF32:
    case TensorDtype::kF64:
    case TensorDtype::kF16:
    case TensorDtype::kBF16:
    case TensorDtype::kF8E4M3:
    case TensorDtype::kF8E5M2:
      return false;
    default:
      return true;
  }
}

// Tensors in half or double precision become float32, integers such of 64 bits.
TensorSpec SpecOf(const TensorInFile& tensor) {
  return {tensor.name, IsCounter(tensor) ? TensorDtype::kI64 : TensorDtype::kF32, tensor.tensor.shape};
}

class Importer {
 public:
  Importer(FileSystem* files, std::string folder, const InsightFaceState& state)
      : files_(files), folder_(std::move(folder)), state_(state) {}

  // Writes the files, and the manifest last.
  absl::Status Run() {
    int64_t begin = 0;
    for (const InsightFaceState::Rank& rank : state_.ranks) {
      const int64_t end = begin + rank.centers.tensor.shape[0];
      if (end > begin) RETURN_IF_ERROR(WriteRows(rank, {begin, end}));
      begin = end;
    }
    if (!state_.backbone.empty()) RETURN_IF_ERROR(WriteBackbone());
    if (!state_.backbone_moments.empty()) RETURN_IF_ERROR(WriteOptimizer());
    manifest_.step = state_.step;
    manifest_.num_classes = state_.num_classes;
    manifest_.embedding_size = state_.embedding_size != 0 ? state_.embedding_size
                               : network_.has_value()     ? network_->embedding_size
                                                          : 0;
    manifest_.data.classes = state_.num_classes;
    manifest_.epoch = static_cast<double>(state_.epoch);
    manifest_.version = ARCSHARD_VERSION;
    manifest_.created = absl::FormatTime(absl::RFC3339_sec, SystemClock().WallTime(), absl::UTCTimeZone());
    return WriteManifest(files_, folder_, manifest_);
  }

  const std::optional<worker::BackboneOptions>& network() const { return network_; }

 private:
  absl::Status WriteRows(const InsightFaceState::Rank& rank, ClassRange range) {
    const int64_t dim = state_.embedding_size;
    const RowKind kinds[] = {RowKind::kMoment0, RowKind::kMoment1};
    std::vector<TensorSpec> specs = {{RowTensorName(RowKind::kCenters, range), TensorDtype::kF32, {range.size(), dim}}};
    for (size_t i = 0; i < rank.moments.size(); ++i) {
      specs.push_back({RowTensorName(kinds[i], range), TensorDtype::kF32, {range.size(), dim}});
    }
    const bool counted = rank.moments.size() == 2;
    if (counted) specs.push_back({RowTensorName(RowKind::kCounts, range), TensorDtype::kU32, {range.size()}});
    ASSIGN_OR_RETURN(
        const std::unique_ptr<PartWriter> writer,
        PartWriter::Create(files_, folder_, absl::StrCat("class_centers-", range.begin, "-", range.end, ".safetensors"),
                           specs,
                           {{"format", "arcshard"},
                            {"num_classes", absl::StrCat(state_.num_classes)},
                            {"range", absl::StrCat(range.begin, "-", range.end)},
                            {"step", absl::StrCat(state_.step)}}));
    RETURN_IF_ERROR(Copy(rank.centers, specs[0].name, writer.get()));
    for (size_t i = 0; i < rank.moments.size(); ++i)
      RETURN_IF_ERROR(Copy(rank.moments[i], specs[i + 1].name, writer.get()));
    if (counted) {
      const std::vector<uint32_t> counts(static_cast<size_t>(range.size()), static_cast<uint32_t>(rank.moment_steps));
      RETURN_IF_ERROR(writer->Append(specs.back().name, TensorDtype::kU32, BytesOf<uint32_t>(counts)));
    }
    return Finish(writer.get());
  }

  absl::Status WriteBackbone() {
    TensorShapes shapes;
    for (const TensorInFile& tensor : state_.backbone) shapes[tensor.name] = tensor.tensor.shape;
    network_ = MatchBackbone(shapes);
    SafetensorsMetadata metadata = {{"format", "pt"}, {"step", absl::StrCat(state_.step)}};
    if (network_.has_value()) {
      metadata["backbone"] = network_->name;
      metadata["width"] = absl::StrCat(network_->width);
      metadata["image_size"] = absl::StrCat(network_->image_size);
      metadata["embedding_size"] = absl::StrCat(network_->embedding_size);
    }
    return WriteTensors("backbone.safetensors", state_.backbone, metadata);
  }

  absl::Status WriteOptimizer() {
    std::optional<float> steps;
    if (state_.optimizer == "adamw") steps = static_cast<float>(state_.backbone_steps);
    return WriteTensors("optimizer.safetensors", state_.backbone_moments,
                        {{"format", "arcshard"}, {"optimizer", state_.optimizer}, {"step", absl::StrCat(state_.step)}},
                        steps);
  }

  // Writes the tensors, wide types first as the format requires. steps: written as a scalar of that name.
  absl::Status WriteTensors(const std::string& name, const std::vector<TensorInFile>& tensors,
                            const SafetensorsMetadata& metadata, std::optional<float> steps = std::nullopt) {
    std::vector<const TensorInFile*> order;
    for (const TensorInFile& tensor : tensors) order.push_back(&tensor);
    std::stable_sort(order.begin(), order.end(),
                     [](const TensorInFile* a, const TensorInFile* b) { return IsCounter(*a) > IsCounter(*b); });
    std::vector<TensorSpec> specs;
    for (const TensorInFile* tensor : order) specs.push_back(SpecOf(*tensor));
    if (steps.has_value()) specs.push_back({"steps", TensorDtype::kF32, {}});
    ASSIGN_OR_RETURN(const std::unique_ptr<PartWriter> writer,
                     PartWriter::Create(files_, folder_, name, specs, metadata));
    for (const TensorInFile* tensor : order) RETURN_IF_ERROR(Copy(*tensor, tensor->name, writer.get()));
    if (steps.has_value()) {
      RETURN_IF_ERROR(writer->Append("steps", TensorDtype::kF32, BytesOf(absl::MakeConstSpan(&*steps, 1))));
    }
    return Finish(writer.get());
  }

  absl::Status Copy(const TensorInFile& from, absl::string_view to, PartWriter* writer) {
    for (int64_t at = 0, all = from.tensor.elements(); at < all; at += kValuesAtOnce) {
      const size_t count = static_cast<size_t>(std::min(kValuesAtOnce, all - at));
      if (IsCounter(from)) {
        std::vector<int64_t> integers(count);
        RETURN_IF_ERROR(from.file->ReadIntegers(from.tensor, at, absl::MakeSpan(integers)));
        RETURN_IF_ERROR(writer->Append(to, TensorDtype::kI64, BytesOf<int64_t>(integers)));
        continue;
      }
      floats_.resize(count);
      RETURN_IF_ERROR(from.file->ReadFloats(from.tensor, at, absl::MakeSpan(floats_)));
      RETURN_IF_ERROR(writer->Append(to, TensorDtype::kF32, BytesOf<float>(floats_)));
    }
    return absl::OkStatus();
  }

  absl::Status Finish(PartWriter* writer) {
    ASSIGN_OR_RETURN(FileRecord record, writer->Finish());
    manifest_.files.push_back(std::move(record));
    return absl::OkStatus();
  }

  FileSystem* const files_;
  const std::string folder_;
  const InsightFaceState& state_;
  Manifest manifest_;
  std::optional<worker::BackboneOptions> network_;
  std::vector<float> floats_;
};

// Whether `out` exists and may be replaced. AlreadyExists: it exists but may not.
absl::StatusOr<bool> IsThere(FileSystem* files, const ImportOptions& options) {
  const absl::Status there = files->List(options.out).status();
  if (absl::IsNotFound(there)) return false;
  if (!there.ok() && !absl::IsFailedPrecondition(there)) return there;
  if (!options.force)
    return absl::AlreadyExistsError(absl::StrCat(options.out, " exists already; --force replaces it"));
  if (files->Open(absl::StrCat(options.out, "/", kManifestName)).ok()) return true;
  return absl::AlreadyExistsError(
      absl::StrCat(options.out, " exists already and is not a checkpoint: it is not replaced"));
}

// Renames `made` to `out`. A checkpoint that has that name is renamed first, so that a crash at any moment leaves it or
// `made` whole. The next import begins with removing `made`; the old checkpoint still exists then.
absl::Status PutInPlace(FileSystem* files, const std::string& made, const std::string& out, bool is_there) {
  const std::string aside = absl::StrCat(out, ".replaced"), folder = FolderOf(out);
  absl::Status status;
  if (is_there) {
    RETURN_IF_ERROR(RemoveCheckpoint(files, aside));
    RETURN_IF_ERROR(files->Rename(out, aside));
    status = files->SyncFolder(folder);
  }
  if (status.ok()) status = files->Rename(made, out);
  if (!status.ok()) {
    if (is_there) files->Rename(aside, out).IgnoreError();
    return status;
  }
  RETURN_IF_ERROR(files->SyncFolder(folder));
  return RemoveCheckpoint(files, aside);
}

std::string Describe(const ImportOptions& options, const InsightFaceState& state,
                     const std::optional<worker::BackboneOptions>& network) {
  std::string text;
  for (const std::string& note : state.notes) absl::StrAppend(&text, PrintableLine(note), "\n");
  if (!state.backbone.empty() && !network.has_value()) {
    absl::StrAppend(&text, "the backbone is not one of the networks that arcshard knows: a run cannot start from it\n");
  }
  absl::StrAppend(&text, PrintableLine(options.out), ": step ", state.step);
  if (!state.ranks.empty()) {
    absl::StrAppend(&text, ", ", state.num_classes, " classes × ", state.embedding_size, " dimensions of ",
                    state.ranks.size(), state.ranks.size() == 1 ? " rank" : " ranks");
  }
  if (network.has_value()) {
    absl::StrAppend(&text, ", backbone ", network->name, " (", network->image_size, "×", network->image_size,
                    " pixels, ", network->embedding_size, " dimensions",
                    network->width == 64 ? "" : absl::StrCat(", width ", network->width), ")");
  } else if (!state.backbone.empty()) {
    absl::StrAppend(&text, ", a backbone of ", state.backbone.size(), " tensors");
  }
  if (!state.optimizer.empty()) absl::StrAppend(&text, ", moments of ", state.optimizer);
  const absl::string_view parts = state.ranks.empty() ? "backbone" : state.backbone.empty() ? "head" : "both";
  absl::StrAppend(&text, "\nto start a run from it: init_from.checkpoint: ", PrintableLine(options.out));
  if (parts != "both") absl::StrAppend(&text, " and init_from.parts: ", parts);
  return absl::StrCat(text, "\n");
}

}  // namespace

absl::StatusOr<std::string> ImportCheckpoint(FileSystem* files, const ImportOptions& given) {
  ImportOptions options = given;
  while (options.out.size() > 1 && options.out.back() == '/') options.out.pop_back();
  // Whether the files lie in the checkpoint that would be replaced, at any depth.
  std::error_code error;
  for (std::filesystem::path in = std::filesystem::canonical(options.folder, error); in.has_relative_path();
       in = in.parent_path()) {
    if (IsSameFile(in.string(), options.out)) {
      return absl::FailedPreconditionError(
          absl::StrCat(options.out, " holds the files to import: it is not replaced; name another folder"));
    }
  }
  ASSIGN_OR_RETURN(const bool is_there, IsThere(files, options));
  ASSIGN_OR_RETURN(const InsightFaceState state,
                   ReadInsightFace({options.folder, options.num_classes, options.embedding_size}));

  // The checkpoint is made under another name, so that one that it replaces exists until it is complete.
  const std::string beside = absl::StrCat(options.out, ".importing");
  RETURN_IF_ERROR(RemoveCheckpoint(files, beside));
  Importer importer(files, beside, state);
  absl::Status status = importer.Run();
  if (status.ok()) status = PutInPlace(files, beside, options.out, is_there);
  if (!status.ok()) {
    RemoveCheckpoint(files, beside).IgnoreError();
    return status;
  }
  return Describe(options, state, importer.network());
}

}  // namespace arcshard::cli
