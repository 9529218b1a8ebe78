#pragma once

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/base/class_range.h"
#include "common/checkpoint/class_rows.h"
#include "shard_server/head/head.h"

namespace arcshard::shard {

// Copies rows out of files into a head, block by block. Both outlive it. Thread-compatible.
class RowCopier {
 public:
  // `kinds`: what of each row is copied; counts in files of centers and moments in the type that the head holds.
  RowCopier(const ClassRows* rows, std::vector<RowKind> kinds, head::Head* head);

  // Rows [first, first + to.size()) of the files become classes [to.begin, to.end), which are in the head's range.
  // Errors as of ClassRows.
  absl::Status Copy(int64_t first, ClassRange to);

 private:
  absl::Status CopyBlock(RowKind kind, int64_t first, ClassRange to);

  const ClassRows* const rows_;
  const std::vector<RowKind> kinds_;
  head::Head* const head_;
  std::vector<float> values_;
  std::vector<uint32_t> counts_;
};

// What the head holds of each class, and whether files have it.
//
// InvalidArgument: rows of another width, or moments of another optimizer: `source`, which the message begins with, has
// none, or two, where the head's optimizer keeps another number.
absl::Status CheckDim(const ClassRows& rows, const head::HeadOptions& options, absl::string_view source);
absl::Status CheckMoments(const ClassRows& rows, const head::HeadOptions& options, absl::string_view source);
std::vector<RowKind> KindsOf(const head::HeadOptions& options);  // centers first

}  // namespace arcshard::shard
