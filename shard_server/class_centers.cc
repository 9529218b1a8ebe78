#include "shard_server/class_centers.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/io/safetensors.h"

namespace arcshard::shard {
namespace {

constexpr int64_t kBlockBytes = int64_t{8} << 20;  // of rows copied at a time

std::string RangeName(ClassRange range) { return absl::StrCat(range.begin, "-", range.end); }

int64_t RowsOfABlock(int64_t dim) {
  return std::max<int64_t>(1, kBlockBytes / (dim * static_cast<int64_t>(sizeof(float))));
}

// The rows that a tensor of this name holds; none where it is another kind of tensor.
std::optional<ClassRange> RangeOfTensor(absl::string_view name, int64_t num_classes) {
  if (name == "class_centers") return ClassRange{0, num_classes};
  if (!absl::ConsumePrefix(&name, "class_centers.")) return std::nullopt;
  const std::pair<absl::string_view, absl::string_view> ends = absl::StrSplit(name, absl::MaxSplits('-', 1));
  ClassRange range;
  if (!absl::SimpleAtoi(ends.first, &range.begin) || !absl::SimpleAtoi(ends.second, &range.end)) return std::nullopt;
  return range;
}

absl::Status CopyRows(const SafetensorsFile& file, const std::string& name, int64_t first_row, ClassRange range,
                      head::Head* head) {
  const int64_t dim = head->options().dim;
  std::vector<float> block;
  for (int64_t begin = range.begin; begin < range.end; begin += RowsOfABlock(dim)) {
    const int64_t end = std::min(range.end, begin + RowsOfABlock(dim));
    block.resize((end - begin) * dim);
    RETURN_IF_ERROR(file.ReadRows<float>(name, begin - first_row, end - first_row, absl::MakeSpan(block)));
    RETURN_IF_ERROR(head->WriteWeights({begin, end}, {block.data(), end - begin, dim}));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status LoadClassCenters(const std::string& path, head::Head* head) {
  const head::HeadOptions& options = head->options();
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::Open(path));
  int64_t next = options.range.begin;  // the first row that is still to come
  while (next < options.range.end) {
    const int64_t before = next;
    for (const auto& [name, entry] : file.entries()) {
      const std::optional<ClassRange> held = RangeOfTensor(name, options.num_classes);
      if (!held.has_value() || !held->contains(next)) continue;
      if (entry.shape != std::vector<int64_t>{held->size(), options.dim}) {
        return absl::InvalidArgumentError(absl::StrCat(path, ": ", name, " is not of shape ", held->size(), "×",
                                                       options.dim, ", which this run's ", options.num_classes,
                                                       " classes need"));
      }
      const ClassRange rows{next, std::min(held->end, options.range.end)};
      RETURN_IF_ERROR(CopyRows(file, name, held->begin, rows, head));
      next = rows.end;
    }
    if (next == before) return absl::InvalidArgumentError(absl::StrCat(path, ": no class_centers of class ", next));
  }
  return absl::OkStatus();
}

absl::Status SaveClassCenters(const std::string& folder, const head::Head& head) {
  const head::HeadOptions& options = head.options();
  if (options.range.size() == 0) return absl::OkStatus();
  RETURN_IF_ERROR(CreateFolders(folder));
  const std::string name = absl::StrCat("class_centers.", RangeName(options.range));
  ASSIGN_OR_RETURN(
      SafetensorsWriter writer,
      SafetensorsWriter::Create(absl::StrCat(folder, "/class_centers-", RangeName(options.range), ".safetensors"),
                                {{name, TensorDtype::kF32, {options.range.size(), options.dim}}},
                                {{"format", "arcshard"}, {"num_classes", absl::StrCat(options.num_classes)}}));
  std::vector<float> block;
  for (int64_t begin = options.range.begin; begin < options.range.end; begin += RowsOfABlock(options.dim)) {
    const int64_t end = std::min(options.range.end, begin + RowsOfABlock(options.dim));
    block.resize((end - begin) * options.dim);
    RETURN_IF_ERROR(head.ReadWeights({begin, end}, {block.data(), end - begin, options.dim}));
    RETURN_IF_ERROR(writer.Append<float>(name, block));
  }
  return writer.Finish();
}

}  // namespace arcshard::shard
