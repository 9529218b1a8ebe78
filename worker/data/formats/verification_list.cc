#include "worker/data/formats/verification_list.h"

#include <algorithm>
#include <climits>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/text/file_kind.h"
#include "worker/data/formats/list_hint.h"

namespace arcshard::worker {
namespace {

constexpr size_t kLongestLine = size_t{1} << 14;

bool IsFlag(absl::string_view text) { return text == "0" || text == "1"; }

// A number and a path before the flag are a line of InsightFace's .lst: whether the image is aligned, path and label.
bool IsPair(const std::vector<absl::string_view>& fields) {
  return fields.size() == 3 && IsFlag(fields[2]) && !IsNumberField(fields[0]);
}

// The first line of a text that is not empty; nothing where it is no text.
absl::string_view FirstLine(absl::string_view bytes) {
  absl::string_view text = TextOfFile("", bytes.substr(0, kLongestLine)).value_or("");
  text = absl::StripLeadingAsciiWhitespace(text);
  return absl::StripAsciiWhitespace(text.substr(0, std::min(text.find('\n'), text.size())));
}

// The end of a message on a line that is no pair.
absl::string_view TrainingHint(const std::vector<absl::string_view>& fields) {
  const bool training =
      fields.size() >= 2 && (IsNumberField(fields[0]) || fields.size() == 2) && IsNumberField(fields.back());
  return training ? "; it looks like a line of a training set's list, which belongs to data.train" : "";
}

// Whether a path is NAME_hflip.SUFFIX.
bool IsMirrored(absl::string_view path) {
  return absl::EndsWith(path.substr(0, std::min(path.rfind('.'), path.size())), "_hflip");
}

}  // namespace

absl::StatusOr<PairList> ParsePairList(const std::string& path, absl::string_view bytes) {
  ASSIGN_OR_RETURN(absl::string_view text, TextOfFile(path, bytes));
  PairList list;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const absl::string_view line = absl::StripAsciiWhitespace(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const std::vector<absl::string_view> fields = FieldsOfLine(line);
    if (!IsPair(fields)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " of ", path,
                       " is not \"path, tab, path, tab, flag\" with the flag 1 for images of the same class or 0",
                       TrainingHint(fields)));
    }
    const absl::string_view first = fields[0];
    const absl::string_view second = fields[1];
    if (std::max(first.size(), second.size()) >= size_t{PATH_MAX}) {
      return absl::InvalidArgumentError(absl::StrCat("line ", number, " of ", path, " has a path of ",
                                                     std::max(first.size(), second.size()),
                                                     " bytes; no file has a path of more than ", PATH_MAX - 1));
    }
    if (IsMirrored(first) && IsMirrored(second)) continue;
    for (const absl::string_view image : {first, second}) {
      list.paths.push_back(absl::StartsWith(image, "/") ? std::string(image)
                                                        : absl::StrCat(FolderOf(path), "/", image));
    }
    list.same.push_back(fields[2] == "1");
  }
  return list;
}

bool IsPairList(absl::string_view path, absl::string_view text) {
  for (const absl::string_view suffix : {".txt", ".list", ".lst", ".tsv"}) {
    if (absl::EndsWithIgnoreCase(path, suffix)) return true;
  }
  return IsPair(FieldsOfLine(FirstLine(text)));
}

bool IsPairListWithTabs(const std::string& path) {
  std::string text(kLongestLine, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  const absl::string_view line = FirstLine(text);
  return absl::StrContains(line, '\t') && IsPair(FieldsOfLine(line));
}

}  // namespace arcshard::worker
