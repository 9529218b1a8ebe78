#include "shard_server/checkpoint/restore_rows.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/class_rows.h"
#include "common/checkpoint/open_checkpoint.h"
#include "shard_server/checkpoint/class_map.h"
#include "shard_server/checkpoint/row_copier.h"

namespace arcshard::shard {

absl::Status RestoreRows(FileSystem* files, const std::string& folder, const StatePoint& point, head::Head* head) {
  const head::HeadOptions& options = head->options();
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(files, folder));
  const Manifest& manifest = checkpoint.manifest();
  if (manifest.step != point.step) {
    return absl::FailedPreconditionError(
        absl::StrCat(folder, ": is of step ", manifest.step, ", but the run continues after step ", point.step));
  }
  if (manifest.lineage != point.lineage) {
    return absl::FailedPreconditionError(absl::StrCat(folder, ": has the lineage ", absl::Hex(manifest.lineage),
                                                      ", but the run continues from ", absl::Hex(point.lineage)));
  }
  ASSIGN_OR_RETURN(const ClassRows rows, ClassRows::Of(checkpoint));
  if (rows.num_classes() != options.num_classes) {
    return absl::InvalidArgumentError(
        absl::StrCat(folder, ": has ", rows.num_classes(), " classes, this run has ", options.num_classes));
  }
  RETURN_IF_ERROR(CheckDim(rows, options, folder));
  RETURN_IF_ERROR(CheckMoments(rows, options, folder));
  return RowCopier(&rows, KindsOf(options), head).Copy(options.range.begin, options.range);
}

absl::Status InitRows(FileSystem* files, const RunConfig::InitFrom& init_from, head::Head* head) {
  if (init_from.checkpoint.empty() || init_from.parts == "backbone") return absl::OkStatus();
  const head::HeadOptions& options = head->options();
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, OpenCheckpoint::Open(files, init_from.checkpoint));
  ASSIGN_OR_RETURN(const ClassRows rows, ClassRows::Of(checkpoint));
  if (!rows.Has(RowKind::kCenters)) {
    return absl::InvalidArgumentError(absl::StrCat(
        init_from.checkpoint, ": holds no class centers; init_from.parts backbone takes only the backbone"));
  }
  RETURN_IF_ERROR(CheckDim(rows, options, init_from.checkpoint));
  if (init_from.moments) RETURN_IF_ERROR(CheckMoments(rows, options, init_from.checkpoint));
  RowCopier copier(&rows, init_from.moments ? KindsOf(options) : std::vector<RowKind>{RowKind::kCenters}, head);
  const int64_t begin = options.range.begin;
  if (init_from.classes.empty()) {
    return copier.Copy(begin, {begin, std::max(begin, std::min(options.range.end, rows.num_classes()))});
  }
  ASSIGN_OR_RETURN(const std::vector<int64_t> map,
                   ReadClassMap(init_from.classes, options.num_classes, rows.num_classes(), options.range));
  const int64_t size = static_cast<int64_t>(map.size());
  for (int64_t i = 0, end = 0; i < size; i = end) {  // copies classes together that are neighbours in both
    end = i + 1;
    if (map[static_cast<size_t>(i)] == kNewClass) continue;
    while (end < size && map[static_cast<size_t>(end)] == map[static_cast<size_t>(i)] + end - i) ++end;
    RETURN_IF_ERROR(copier.Copy(map[static_cast<size_t>(i)], {begin + i, begin + end}));
  }
  return absl::OkStatus();
}

}  // namespace arcshard::shard
