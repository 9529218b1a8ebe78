#include "shard_server/checkpoint/class_centers.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/run_fence.h"
#include "common/io/safetensors.h"
#include "shard_server/checkpoint/row_copier.h"

namespace arcshard::shard {
namespace {

constexpr int64_t kBlockBytes = int64_t{8} << 20;  // of rows that are copied at a time

std::string RangeName(ClassRange range) { return absl::StrCat(range.begin, "-", range.end); }

int64_t RowsPerBlock(int64_t dim) {
  return std::max<int64_t>(1, kBlockBytes / (dim * static_cast<int64_t>(sizeof(float))));
}

}  // namespace

absl::Status LoadClassCenters(const std::string& path, head::Head* head) {
  const head::HeadOptions& options = head->options();
  ASSIGN_OR_RETURN(const ClassRows rows, ClassRows::OfFile(path));
  RETURN_IF_ERROR(CheckDim(rows, options, path));
  if (rows.num_classes() > options.num_classes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", rows.num_classes(), " classes, this run has ", options.num_classes));
  }
  return RowCopier(&rows, {RowKind::kCenters}, head).Copy(options.range.begin, options.range);
}

absl::Status SaveClassCenters(FileSystem* files, const std::string& run_folder, const View& view,
                              const head::Head& head) {
  const head::HeadOptions& options = head.options();
  if (options.range.size() == 0) return absl::OkStatus();
  RunFence fence(files, run_folder, view);
  const std::string folder = absl::StrCat(run_folder, "/model");
  RETURN_IF_ERROR(fence.CreateFolders(folder));
  const std::string path = absl::StrCat(folder, "/class_centers-", RangeName(options.range), ".safetensors");
  const std::string name = RowTensorName(RowKind::kCenters, options.range);
  SafetensorsMetadata metadata = {{"format", "arcshard"}, {"num_classes", absl::StrCat(options.num_classes)}};
  NoteView(view, &metadata);
  ASSIGN_OR_RETURN(SafetensorsWriter writer,
                   SafetensorsWriter::Create(path, {{name, TensorDtype::kF32, {options.range.size(), options.dim}}},
                                             metadata, &fence));
  std::vector<float> block;
  for (int64_t begin = options.range.begin; begin < options.range.end; begin += RowsPerBlock(options.dim)) {
    const int64_t end = std::min(options.range.end, begin + RowsPerBlock(options.dim));
    block.resize((end - begin) * options.dim);
    RETURN_IF_ERROR(head.ReadWeights({begin, end}, {block.data(), end - begin, options.dim}));
    RETURN_IF_ERROR(writer.Append<float>(name, block));
  }
  return writer.Finish();
}

}  // namespace arcshard::shard
