#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "common/checkpoint/class_rows.h"
#include "shard_server/head/head.h"

namespace arcshard::shard {

// Copies rows from files into a head, block by block, so that no range is in memory twice. Both outlive the copier.
// Thread-compatible.
class RowCopier {
 public:
  // `kinds` says what is copied of each row. Centers and moments are converted to the types that the head holds.
  RowCopier(const ClassRows* rows, std::vector<RowKind> kinds, head::Head* head);

  // Copies rows [first, first + to.size()) of the files to classes [to.begin, to.end). Requires: they are in the head's
  // range. Errors as of ClassRows.
  absl::Status Copy(int64_t first, ClassRange to);

 private:
  absl::Status CopyBlock(RowKind kind, int64_t first, ClassRange to);

  const ClassRows* const rows_;
  const std::vector<RowKind> kinds_;
  head::Head* const head_;
  std::vector<float> values_;
  std::vector<uint32_t> counts_;
};

// Check that the files' rows fit the head. InvalidArgument: the rows have another width; the files hold another number
// of moments than the head's optimizer keeps. The message begins with `source`.
absl::Status CheckDim(const ClassRows& rows, const head::HeadOptions& options, absl::string_view source);
absl::Status CheckMoments(const ClassRows& rows, const head::HeadOptions& options, absl::string_view source);

// What the head holds of each class, centers first.
std::vector<RowKind> KindsOf(const head::HeadOptions& options);

}  // namespace arcshard::shard
