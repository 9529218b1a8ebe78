#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "common/base/class_range.h"

namespace arcshard::shard {

inline constexpr int64_t kNewClass = -1;

// Reads the file of init_from.classes, which says for each class of a run which class of a checkpoint it was: a text
// file with one line for each of the run's `num_classes` classes, in order, that holds its number in the checkpoint or
// `new`. Returns the entries of `range`, kNewClass for `new`. Blanks at both ends of a line are ignored.
//
// InvalidArgument, with file and line: another word, a number outside [0, old_classes), or more or fewer lines. Other
// errors as of ReadableFile.
absl::StatusOr<std::vector<int64_t>> ReadClassMap(const std::string& path, int64_t num_classes, int64_t old_classes,
                                                  ClassRange range);

}  // namespace arcshard::shard
