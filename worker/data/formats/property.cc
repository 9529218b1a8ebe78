#include "worker/data/formats/property.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/text/file_kind.h"

namespace arcshard::worker {
namespace {

constexpr int64_t kMostClasses = 1'000'000'000;  // as head.classes

}  // namespace

absl::StatusOr<int64_t> ReadProperty(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path, /*largest=*/1024));
  ASSIGN_OR_RETURN(const absl::string_view text, TextOfFile(path, bytes));
  const std::vector<absl::string_view> fields = absl::StrSplit(absl::StripAsciiWhitespace(text), ',');
  int64_t classes;
  if (fields.size() != 3 || !absl::SimpleAtoi(fields[0], &classes) || classes < 1) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not \"classes,height,width\" with at least one class"));
  }
  if (classes > kMostClasses) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, " announces ", classes, " classes; a run has at most ", kMostClasses));
  }
  return classes;
}

std::string PropertyText(int64_t classes, int height, int width) {
  return absl::StrCat(classes, ",", height, ",", width, "\n");
}

}  // namespace arcshard::worker
