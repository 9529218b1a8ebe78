#include "common/checkpoint/testing/checkpoint_test_kit.h"

#include <bit>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/checkpoint/part_writer.h"

namespace arcshard {
namespace {

constexpr char kWeight[] = "output_layer.weight";
constexpr char kMomentum[] = "momentum.output_layer.weight";

// The values of the rows in `rows`: integers below 256, which bfloat16 represents exactly.
std::vector<float> Values(uint64_t step, uint64_t tensor, ClassRange rows) {
  std::vector<float> values;
  for (int64_t i = rows.begin * kTestDim; i < rows.end * kTestDim; ++i) {
    values.push_back(static_cast<float>((step * 31 + tensor * 7 + static_cast<uint64_t>(i)) % 251));
  }
  return values;
}

std::vector<uint32_t> Counts(uint64_t step, ClassRange rows) {
  std::vector<uint32_t> counts;
  for (int64_t row = rows.begin; row < rows.end; ++row) counts.push_back(static_cast<uint32_t>(step * 100 + row));
  return counts;
}

template <typename T>
absl::Span<const std::byte> BytesOf(const std::vector<T>& values) {
  return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), values.size() * sizeof(T));
}

std::vector<uint16_t> Narrow(const std::vector<float>& values) {
  std::vector<uint16_t> narrow;
  for (const float value : values) narrow.push_back(static_cast<uint16_t>(std::bit_cast<uint32_t>(value) >> 16));
  return narrow;
}

absl::StatusOr<FileRecord> WriteRows(FileSystem* files, const std::string& folder, uint64_t step, ClassRange rows) {
  const std::string centers = RowTensorName(RowKind::kCenters, rows);
  const std::string counts = RowTensorName(RowKind::kCounts, rows);
  const std::string moments = RowTensorName(RowKind::kMoment0, rows);
  ASSIGN_OR_RETURN(
      const auto part,
      PartWriter::Create(files, folder, absl::StrCat("class_centers-", rows.begin, "-", rows.end, ".safetensors"),
                         {{centers, TensorDtype::kF32, {rows.size(), kTestDim}},
                          {counts, TensorDtype::kU32, {rows.size()}},
                          {moments, TensorDtype::kBF16, {rows.size(), kTestDim}}},
                         {{"format", "arcshard"}, {"step", absl::StrCat(step)}}));
  for (int64_t row = rows.begin; row < rows.end; ++row) {
    RETURN_IF_ERROR(part->Append(centers, TensorDtype::kF32, BytesOf(Values(step, 0, {row, row + 1}))));
  }
  RETURN_IF_ERROR(part->Append(counts, TensorDtype::kU32, BytesOf(Counts(step, rows))));
  RETURN_IF_ERROR(part->Append(moments, TensorDtype::kBF16, BytesOf(Narrow(Values(step, 1, rows)))));
  return part->Finish();
}

absl::StatusOr<FileRecord> WriteTensor(FileSystem* files, const std::string& folder, const std::string& name,
                                       const std::string& tensor, const std::vector<float>& values) {
  ASSIGN_OR_RETURN(const auto part,
                   PartWriter::Create(files, folder, name,
                                      {{tensor, TensorDtype::kF32, {static_cast<int64_t>(values.size())}}}, {}));
  RETURN_IF_ERROR(part->Append(tensor, TensorDtype::kF32, BytesOf(values)));
  return part->Finish();
}

absl::Status WriteAll(FileSystem* files, const std::string& folder, const CheckpointId& id) {
  Manifest manifest = TestManifest(id);
  for (const ClassRange rows : {ClassRange{0, 5}, ClassRange{5, kTestClasses}}) {
    ASSIGN_OR_RETURN(FileRecord record, WriteRows(files, folder, id.step, rows));
    manifest.files.push_back(std::move(record));
  }
  ASSIGN_OR_RETURN(FileRecord backbone,
                   WriteTensor(files, folder, "backbone.safetensors", kWeight, Values(id.step, 2, {0, 3})));
  ASSIGN_OR_RETURN(FileRecord optimizer,
                   WriteTensor(files, folder, "optimizer.safetensors", kMomentum, Values(id.step, 3, {0, 3})));
  manifest.files.push_back(std::move(backbone));
  manifest.files.push_back(std::move(optimizer));
  return WriteManifest(files, folder, manifest);
}

absl::Status CheckRows(const OpenCheckpoint& checkpoint, uint64_t step) {
  constexpr ClassRange kAll{0, kTestClasses};
  ASSIGN_OR_RETURN(const ClassRows rows, ClassRows::Of(checkpoint));
  std::vector<float> centers(kTestClasses * kTestDim);
  std::vector<float> moments(centers.size());
  std::vector<uint32_t> counts(kTestClasses);
  RETURN_IF_ERROR(rows.Read(RowKind::kCenters, kAll, absl::MakeSpan(centers)));
  RETURN_IF_ERROR(rows.Read(RowKind::kMoment0, kAll, absl::MakeSpan(moments)));
  RETURN_IF_ERROR(rows.ReadCounts(kAll, absl::MakeSpan(counts)));
  const bool same =
      centers == Values(step, 0, kAll) && moments == Values(step, 1, kAll) && counts == Counts(step, kAll);
  return same ? absl::OkStatus() : absl::InternalError("the rows are not those of the step");
}

absl::Status CheckTensor(const OpenCheckpoint& checkpoint, const std::string& name, const std::string& tensor,
                         const std::vector<float>& wanted) {
  ASSIGN_OR_RETURN(const SafetensorsFile file, checkpoint.File(name));
  ASSIGN_OR_RETURN(const std::vector<float> values, file.Read<float>(tensor));
  return values == wanted ? absl::OkStatus() : absl::InternalError(absl::StrCat(name, " is not that of the step"));
}

}  // namespace

Manifest TestManifest(const CheckpointId& id) {
  Manifest manifest;
  manifest.step = id.step;
  manifest.lineage = id.step * 0x9e3779b97f4a7c15;
  manifest.incarnation = id.incarnation;
  manifest.view_counter = id.counter;
  manifest.num_classes = kTestClasses;
  manifest.embedding_size = kTestDim;
  manifest.data = {.samples = 1000, .classes = kTestClasses, .fingerprint = 0xfedcba9876543210};
  manifest.config_yaml = "run:\n  seed: 1\n";
  manifest.version = "0.1.0";
  manifest.created = "2026-11-24T12:00:00Z";
  manifest.epoch = 0.1 * static_cast<double>(id.step);
  return manifest;
}

absl::Status TakeTestCheckpoint(FileSystem* files, const std::string& run_folder, const CheckpointId& id) {
  const std::string folder = CheckpointFolder(run_folder, id);
  const absl::Status status = WriteAll(files, folder, id);
  if (!status.ok()) (void)RemoveCheckpoint(files, folder);
  return status;
}

absl::Status CheckTestCheckpoint(FileSystem* files, const std::string& folder, const CheckpointId& id) {
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(files, folder));
  RETURN_IF_ERROR(checkpoint.Verify());
  Manifest wanted = TestManifest(id);
  wanted.files = checkpoint.manifest().files;
  if (checkpoint.manifest() != wanted) return absl::InternalError("the manifest is not that of the step");
  RETURN_IF_ERROR(CheckRows(checkpoint, id.step));
  RETURN_IF_ERROR(CheckTensor(checkpoint, "backbone.safetensors", kWeight, Values(id.step, 2, {0, 3})));
  return CheckTensor(checkpoint, "optimizer.safetensors", kMomentum, Values(id.step, 3, {0, 3}));
}

}  // namespace arcshard
