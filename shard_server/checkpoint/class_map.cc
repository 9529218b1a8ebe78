#include "shard_server/checkpoint/class_map.h"

#include <fstream>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard::shard {

absl::StatusOr<std::vector<int64_t>> ReadClassMap(const std::string& path, int64_t num_classes, int64_t old_classes,
                                                  ClassRange range) {
  RETURN_IF_ERROR(ReadableFile::Open(path).status());  // its error says why the file cannot be read
  std::ifstream file(path);
  std::vector<int64_t> map;
  map.reserve(static_cast<size_t>(range.size()));
  std::string line;
  int64_t lines = 0;
  for (; std::getline(file, line); ++lines) {
    if (lines == num_classes) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ":", lines + 1, ": is one line more than this run has classes"));
    }
    const absl::string_view word = absl::StripAsciiWhitespace(line);
    int64_t number = kNewClass;
    if (word != "new" && (!absl::SimpleAtoi(word, &number) || number < 0 || number >= old_classes)) {
      return absl::InvalidArgumentError(absl::StrCat(path, ":", lines + 1, ": '", word.substr(0, 40),
                                                     "' is neither new nor a number of the checkpoint's ", old_classes,
                                                     " classes, which count from 0"));
    }
    if (range.contains(lines)) map.push_back(number);
  }
  if (file.bad()) return absl::UnavailableError(absl::StrCat(path, ": cannot be read"));
  if (lines < num_classes) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": has ", lines, " lines, but this run has ", num_classes, " classes"));
  }
  return map;
}

}  // namespace arcshard::shard
