#include "worker/data/formats/verification_list.h"

#include <algorithm>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/io/file.h"

namespace arcshard::worker {
namespace {

constexpr size_t kLongestLine = size_t{1} << 14;

// The fields of a line: its tabs separate them, or where it has none, its blanks.
std::vector<absl::string_view> FieldsOf(absl::string_view line) {
  if (absl::StrContains(line, '\t')) return absl::StrSplit(line, '\t', absl::SkipWhitespace());
  return absl::StrSplit(line, ' ', absl::SkipWhitespace());
}

bool IsFlag(absl::string_view text) { return text == "0" || text == "1"; }

bool IsPair(const std::vector<absl::string_view>& fields) {
  return fields.size() == 3 && IsFlag(absl::StripAsciiWhitespace(fields[2]));
}

absl::string_view FirstLine(absl::string_view text) {
  text = absl::StripLeadingAsciiWhitespace(text.substr(0, kLongestLine));
  return absl::StripAsciiWhitespace(text.substr(0, std::min(text.find('\n'), text.size())));
}

// Whether a path is NAME_hflip.SUFFIX.
bool IsMirrored(absl::string_view path) {
  return absl::EndsWith(path.substr(0, std::min(path.rfind('.'), path.size())), "_hflip");
}

}  // namespace

absl::StatusOr<PairList> ParsePairList(const std::string& path, absl::string_view text) {
  PairList list;
  for (int64_t number = 1; !text.empty(); ++number) {
    const size_t end = std::min(text.find('\n'), text.size());
    const absl::string_view line = absl::StripAsciiWhitespace(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.empty()) continue;
    const std::vector<absl::string_view> fields = FieldsOf(line);
    if (!IsPair(fields)) {
      return absl::InvalidArgumentError(
          absl::StrCat("line ", number, " of ", path,
                       " is not \"path, tab, path, tab, flag\" with the flag 1 for images of the same class or 0"));
    }
    const absl::string_view first = absl::StripAsciiWhitespace(fields[0]);
    const absl::string_view second = absl::StripAsciiWhitespace(fields[1]);
    if (IsMirrored(first) && IsMirrored(second)) continue;
    for (const absl::string_view image : {first, second}) {
      list.paths.push_back(absl::StartsWith(image, "/") ? std::string(image)
                                                        : absl::StrCat(FolderOf(path), "/", image));
    }
    list.same.push_back(absl::StripAsciiWhitespace(fields[2]) == "1");
  }
  return list;
}

bool IsPairList(absl::string_view path, absl::string_view text) {
  for (const absl::string_view suffix : {".txt", ".list", ".lst", ".tsv"}) {
    if (absl::EndsWithIgnoreCase(path, suffix)) return true;
  }
  return IsPair(FieldsOf(FirstLine(text)));
}

bool IsPairListWithTabs(const std::string& path) {
  std::string text(kLongestLine, '\0');
  std::ifstream file(path, std::ios::binary);
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<size_t>(file.gcount()));
  const absl::string_view line = FirstLine(text);
  return absl::StrContains(line, '\t') && IsPair(FieldsOf(line));
}

}  // namespace arcshard::worker
