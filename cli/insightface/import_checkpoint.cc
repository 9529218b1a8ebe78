#include "cli/insightface/import_checkpoint.h"

#include <algorithm>
#include <cmath>
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
constexpr absl::string_view kCounter = "num_batches_tracked";

template <typename T>
absl::Span<const std::byte> BytesOf(absl::Span<const T> values) {
  return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T));
}

// BatchNorm's count of steps is an integer of 64 bits, whatever it was converted to with the others.
bool IsCounter(const TensorInFile& tensor) {
  return absl::EndsWith(tensor.name, kCounter) || !IsFloatingPoint(tensor.tensor.dtype);
}

// Tensors in half or double precision become float32, integers such of 64 bits.
TensorSpec SpecOf(const TensorInFile& tensor) {
  return {tensor.name, IsCounter(tensor) ? TensorDtype::kI64 : TensorDtype::kF32, tensor.tensor.shape};
}

TensorShapes ShapesOf(const std::vector<TensorInFile>& tensors) {
  TensorShapes shapes;
  for (const TensorInFile& tensor : tensors) shapes[tensor.name] = tensor.tensor.shape;
  return shapes;
}

// Gives the backbone's tensors the names of a network that arcshard knows, where all have the same part before them.
void TakeOffForeignPart(InsightFaceState* state) {
  const std::string part = ForeignPart(ShapesOf(state->backbone));
  if (part.empty()) return;
  for (TensorInFile& tensor : state->backbone) tensor.name.erase(0, part.size());
  for (TensorInFile& moment : state->backbone_moments) moment.name.erase(moment.name.find('.') + 1, part.size());
  state->notes.push_back(
      absl::StrCat("the names of the backbone's tensors begin with ", part, " in their file, which is left out"));
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

  // Sentences that name tensors with values that no training has.
  std::vector<std::string> Warnings() const {
    std::vector<std::string> warnings = odd_;
    if (more_odd_ > 0) warnings.push_back(absl::StrCat("warning: ", more_odd_, " more tensors have such values"));
    return warnings;
  }

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
    network_ = MatchBackbone(ShapesOf(state_.backbone));
    for (const TensorInFile& tensor : state_.backbone) {
      if (!network_.has_value() || absl::EndsWith(tensor.name, kCounter)) continue;
      RETURN_IF_ERROR(CheckFloats(*tensor.file, tensor.tensor, tensor.name));
    }
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
    int64_t odd = 0;  // values that are not finite
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
      odd += std::count_if(floats_.begin(), floats_.end(), [](float value) { return !std::isfinite(value); });
      RETURN_IF_ERROR(writer->Append(to, TensorDtype::kF32, BytesOf<float>(floats_)));
    }
    if (odd > 0) Warn(from, odd);
    return absl::OkStatus();
  }

  void Warn(const TensorInFile& tensor, int64_t odd) {
    constexpr size_t kNamed = 3;
    if (odd_.size() == kNamed) {
      ++more_odd_;
      return;
    }
    odd_.push_back(absl::StrCat("warning: ", tensor.file->path(), ": of the ", tensor.tensor.elements(), " values of ",
                                tensor.name, ", ", odd, odd == 1 ? " is" : " are", " NaN or infinite in float32"));
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
  std::vector<std::string> odd_;  // the first few of Warnings
  int64_t more_odd_ = 0;
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

// The line that says how a run starts from the checkpoint; empty: none can.
std::string HowToStart(const ImportOptions& options, const InsightFaceState& state, bool knows_backbone) {
  if (state.ranks.empty() && !knows_backbone) return "";
  const bool only_head = !state.backbone.empty() && !knows_backbone;
  const absl::string_view parts = !knows_backbone ? "head" : state.ranks.empty() ? "backbone" : "both";
  return absl::StrCat("to start a run from ", only_head ? "its class centers" : "it",
                      ": init_from.checkpoint: ", PrintableLine(options.out),
                      parts == "both" ? "" : absl::StrCat(" and init_from.parts: ", parts), "\n");
}

std::string Describe(const ImportOptions& options, const InsightFaceState& state,
                     const std::optional<worker::BackboneOptions>& network) {
  std::string text;
  for (const std::string& note : state.notes) absl::StrAppend(&text, PrintableLine(note), "\n");
  if (!state.backbone.empty() && !network.has_value()) {
    absl::StrAppend(&text, "the backbone is not one of the networks that arcshard knows: no run can start from it\n");
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
  return absl::StrCat(text, "\n", HowToStart(options, state, network.has_value()));
}

}  // namespace

absl::StatusOr<std::string> ImportCheckpoint(FileSystem* files, const ImportOptions& given) {
  ImportOptions options = given;
  while (options.out.size() > 1 && options.out.back() == '/') options.out.pop_back();
  std::error_code error;
  if (std::filesystem::exists(options.folder, error) && IsWithin(options.folder, options.out)) {
    return absl::FailedPreconditionError(
        absl::StrCat(options.out, " holds the files to import: it is not replaced; name another folder"));
  }
  ASSIGN_OR_RETURN(const bool is_there, IsThere(files, options));
  ASSIGN_OR_RETURN(InsightFaceState state,
                   ReadInsightFace({options.folder, options.num_classes, options.embedding_size}));
  TakeOffForeignPart(&state);

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
  for (std::string& warning : importer.Warnings()) state.notes.push_back(std::move(warning));
  return Describe(options, state, importer.network());
}

}  // namespace arcshard::cli
