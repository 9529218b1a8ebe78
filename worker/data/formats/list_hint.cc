#include "worker/data/formats/list_hint.h"

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"

namespace arcshard::worker {

std::vector<absl::string_view> FieldsOfLine(absl::string_view line) {
  std::vector<absl::string_view> fields =
      absl::StrSplit(line, absl::StrContains(line, '\t') ? '\t' : ' ', absl::SkipWhitespace());
  for (absl::string_view& field : fields) field = absl::StripAsciiWhitespace(field);
  return fields;
}

bool IsNumberField(absl::string_view field) {
  double ignored;
  return !field.empty() && !absl::ascii_isalpha(static_cast<unsigned char>(field[0])) &&  // "nan" is a name
         absl::SimpleAtod(field, &ignored);
}

std::string ListHint(absl::string_view path, absl::string_view line) {
  if (absl::EndsWithIgnoreCase(path, ".yaml") || absl::EndsWithIgnoreCase(path, ".yml")) {
    return "; if this is a run's configuration, the training set is what its data.train names";
  }
  const std::vector<absl::string_view> fields = FieldsOfLine(line);
  if (fields.size() >= 2 && IsNumberField(fields[0])) {
    if (fields.size() >= 3 && !IsNumberField(fields[1]) && IsNumberField(fields[2])) {
      return "; it begins like InsightFace's .lst of a training set (aligned, path, label); keep only path and label, "
             "as cut -f2,3 does";
    }
    if (fields.size() >= 3 && IsNumberField(fields[1]) && !IsNumberField(fields.back())) {
      return "; it looks like MXNet's .lst of a training set (index, label, path); write only path and label, in this "
             "order";
    }
    if (!IsNumberField(fields.back())) return "; the label comes behind the path";
  }
  return absl::StrContains(line, ',')
             ? "; did you mean a comma-separated list? Separate path and label by a blank or a tab instead"
             : "";
}

}  // namespace arcshard::worker
