#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/class_range.h"

namespace arcshard::shard {

inline constexpr int64_t kNewClass = -1;

// Which class of a checkpoint each class of a run was (init_from.classes): a text file with a line for each of the
// run's `num_classes` classes, in order, its number in the checkpoint or `new`. Returns those of `range`; `new` is
// kNewClass. Blanks around a line do not count.
//
// InvalidArgument, with file and line: another word, a number outside [0, old_classes), or more or fewer lines. Else as
// ReadableFile.
absl::StatusOr<std::vector<int64_t>> ReadClassMap(const std::string& path, int64_t num_classes, int64_t old_classes,
                                                  ClassRange range);

}  // namespace arcshard::shard
