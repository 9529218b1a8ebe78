#include "worker/data/formats/image_list.h"

#include <algorithm>
#include <climits>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/text/file_kind.h"
#include "common/text/printable_text.h"
#include "worker/data/formats/list_hint.h"

namespace arcshard::worker {
namespace {

// No run has more classes (head.classes). The limit keeps a mistyped label from allocating too much memory.
constexpr int64_t kMaxLabel = 1'000'000'000 - 1;

constexpr size_t kLongestPath = PATH_MAX;

}  // namespace

absl::StatusOr<ImageFiles> ReadImageList(const std::string& path, const std::string& root, int64_t classes) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  ASSIGN_OR_RETURN(absl::string_view rest, TextOfFile(path, bytes));
  ImageFiles files(path, root.empty() ? FolderOf(path) : root);
  int64_t largest = -1;
  for (int64_t number = 1; !rest.empty(); ++number) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const absl::string_view line = absl::StripAsciiWhitespace(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty()) continue;
    const auto refuse = [&](const auto&... what) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, " of ", path, " ", what...));
    };
    const size_t blank = line.find_last_of(" \t");
    if (blank == absl::string_view::npos) return refuse("is not \"path label\"", ListHint(path, line));
    const absl::string_view text_of_label = line.substr(blank + 1);
    const absl::string_view image = absl::StripAsciiWhitespace(line.substr(0, blank));
    int64_t label;
    if (!absl::SimpleAtoi(text_of_label, &label) || label < 0 || label > kMaxLabel) {
      return refuse("has the label '", Shortened(text_of_label), "'; a label is a whole number from 0 to ", kMaxLabel,
                    ListHint(path, line));
    }
    if (absl::EndsWith(image, ",")) return refuse("has the path '", Shortened(image), "'", ListHint(path, line));
    if (absl::StrContains(image, '\t')) {
      if (IsNumberField(FieldsOfLine(line)[0])) return refuse("is not \"path label\"", ListHint(path, line));
      return refuse("has two paths, as the list of a verification set; such a list belongs to verification.sets");
    }
    if (image.size() >= kLongestPath) {
      return refuse("has a path of ", image.size(), " bytes; no file has a path of more than ", kLongestPath - 1);
    }
    if (classes != 0 && label >= classes) {
      return refuse("has label ", label, ", but with N = ", classes, " classes labels are 0 to ", classes - 1);
    }
    files.Add(image, label);
    largest = std::max(largest, label);
  }
  if (files.size() == 0) return absl::InvalidArgumentError(absl::StrCat(path, " lists no images"));
  files.set_classes(classes != 0 ? classes : largest + 1);
  return files;
}

}  // namespace arcshard::worker
