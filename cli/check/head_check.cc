#include "cli/check/head_check.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "common/base/device_name.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/class_rows.h"
#include "shard_server/checkpoint/class_centers.h"
#include "shard_server/checkpoint/restore_rows.h"
#include "shard_server/head_from_config.h"

namespace arcshard::cli {
namespace {

constexpr int64_t kBlockBytes = int64_t{1} << 20;

struct Part {
  RowKind kind;
  head::RowPart part;
};
constexpr Part kParts[] = {{RowKind::kCenters, head::RowPart::kWeights},
                           {RowKind::kMoment0, head::RowPart::kMoment0},
                           {RowKind::kMoment1, head::RowPart::kMoment1},
                           {RowKind::kCounts, head::RowPart::kCounts}};

// The classes of a tensor named "class_centers.0-482"; nullopt: it has another name.
std::optional<ClassRange> RangeOf(absl::string_view tensor) {
  const std::vector<absl::string_view> ends = absl::StrSplit(tensor.substr(tensor.find('.') + 1), '-');
  ClassRange range;
  if (ends.size() != 2 || !absl::SimpleAtoi(ends[0], &range.begin) || !absl::SimpleAtoi(ends[1], &range.end) ||
      range.begin < 0 || range.begin > range.end) {
    return std::nullopt;
  }
  return range;
}

// The first class whose row in the file's tensor differs from the head's; nullopt: none does.
absl::StatusOr<std::optional<int64_t>> FirstDifference(const SafetensorsFile& file, const std::string& tensor,
                                                       const head::Head& head, head::RowPart part, ClassRange range) {
  ASSIGN_OR_RETURN(const SafetensorsFile::Entry* const entry, file.Find(tensor));
  const int64_t row_bytes = head::HeldBytes(head.options(), part);
  if (row_bytes == 0 || entry->bytes != static_cast<uint64_t>(range.size() * row_bytes) ||
      range.end > head.options().num_classes) {
    return absl::InvalidArgumentError(
        absl::StrCat("has ", entry->bytes, " bytes in ", tensor, ", which do not fit the run's configuration"));
  }
  const int64_t rows = std::max<int64_t>(1, kBlockBytes / row_bytes);
  std::vector<std::byte> written, held;
  for (int64_t begin = range.begin; begin < range.end; begin += rows) {
    const ClassRange block{begin, std::min(begin + rows, range.end)};
    written.resize(static_cast<size_t>(block.size() * row_bytes));
    held.resize(written.size());
    RETURN_IF_ERROR(file.ReadRowBytes(tensor, entry->dtype, block.begin - range.begin, block.end - range.begin,
                                      absl::MakeSpan(written)));
    RETURN_IF_ERROR(head.ReadHeld(part, block, absl::MakeSpan(held)));
    const auto differs = std::mismatch(written.begin(), written.end(), held.begin()).first;
    if (differs != written.end()) return block.begin + (differs - written.begin()) / row_bytes;
  }
  return std::nullopt;
}

// A shard's file of a checkpoint, compared with the head.
struct FileComparison {
  std::map<RowKind, int64_t> rows;  // so many were compared
  std::string tensor = {};          // the first that differs, at
  int64_t at_class = std::numeric_limits<int64_t>::max();
};

absl::StatusOr<FileComparison> CompareFile(const absl::StatusOr<SafetensorsFile>& opened, const head::Head& head) {
  RETURN_IF_ERROR(opened.status());
  const SafetensorsFile& file = *opened;
  FileComparison comparison;
  for (const auto& [name, entry] : file.entries()) {
    const std::optional<ClassRange> range = RangeOf(name);
    const Part* const part =
        range.has_value()
            ? std::find_if(std::begin(kParts), std::end(kParts),
                           [&, name = name](const Part& each) { return RowTensorName(each.kind, *range) == name; })
            : std::end(kParts);
    if (part == std::end(kParts)) return absl::InvalidArgumentError(absl::StrCat("has a tensor '", name, "'"));
    ASSIGN_OR_RETURN(const auto differs, FirstDifference(file, name, head, part->part, *range));
    comparison.rows[part->kind] += range->size();
    if (differs.has_value() && *differs < comparison.at_class) {
      comparison.at_class = *differs;
      comparison.tensor = name.substr(0, name.find('.'));
    }
  }
  return comparison;
}

std::string BaseName(const std::string& path) { return path.substr(path.rfind('/') + 1); }

}  // namespace

absl::StatusOr<std::unique_ptr<HeadCheck>> HeadCheck::Create(FileSystem* files, const RunHistory* history) {
  const RunConfig& config = history->config;
  const int64_t num_classes = history->newest.num_classes;
  const head::HeadOptions options = shard::HeadOptionsOf(config, num_classes, {0, num_classes}, DeviceName{});
  ASSIGN_OR_RETURN(std::unique_ptr<head::Head> head, head::Head::Create(options, std::numeric_limits<int64_t>::max()));
  if (!history->start_folder.empty()) {
    RETURN_IF_ERROR(shard::RestoreRows(files, history->start_folder, history->start, head.get()));
  } else {
    RETURN_IF_ERROR(shard::InitRows(files, config.init_from, head.get()));
    if (!config.head.init.empty()) RETURN_IF_ERROR(shard::LoadClassCenters(config.head.init, head.get()));
  }
  std::unique_ptr<HeadCheck> check(new HeadCheck(std::move(head)));
  check->step_ = check->equal_ = history->start.step;
  return check;
}

absl::Status HeadCheck::Replay(const shard::ReplayRecord& record) {
  RETURN_IF_ERROR(Annotate(applier_.Replay(record, head_.get()), absl::StrCat("step ", record.plan.step)));
  step_ = record.plan.step;
  return absl::OkStatus();
}

std::vector<Finding> HeadCheck::Compare(const OpenCheckpoint& checkpoint) {
  std::vector<Finding> findings;
  std::map<RowKind, int64_t> rows;
  const std::string folder = BaseName(checkpoint.folder());
  for (const FileRecord& written : checkpoint.manifest().files) {
    if (!absl::StartsWith(written.name, "class_centers-")) continue;
    Finding finding{absl::StrCat(folder, "/", written.name), ""};
    const absl::StatusOr<FileComparison> comparison = CompareFile(checkpoint.File(written.name), *head_);
    if (!comparison.ok()) {
      finding.difference = absl::StrCat("cannot be compared: ", comparison.status().message());
    } else if (!comparison->tensor.empty()) {
      finding.difference = absl::StrCat("differs in ", comparison->tensor, " of class ", comparison->at_class,
                                        ", since one of ", StepsText(equal_ + 1, step_));
    }
    if (comparison.ok()) {
      for (const auto& [kind, count] : comparison->rows) rows[kind] += count;
    }
    findings.push_back(std::move(finding));
  }
  const bool equal = std::all_of(findings.begin(), findings.end(), [](const Finding& each) { return each.equal(); });
  if (equal) {
    for (const Part& part : kParts) {
      if (head::HeldBytes(head_->options(), part.part) == 0 || rows[part.kind] == head_->options().num_classes)
        continue;
      findings.push_back({folder, absl::StrCat("has ", rows[part.kind], " rows of ",
                                               RowTensorName(part.kind, {0, head_->options().num_classes}))});
    }
  }
  if (std::all_of(findings.begin(), findings.end(), [](const Finding& each) { return each.equal(); })) equal_ = step_;
  return findings;
}

}  // namespace arcshard::cli
