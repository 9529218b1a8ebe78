#include "cli/templates/template_lists.h"

#include <functional>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/text/file_kind.h"

namespace arcshard::cli {
namespace {

using Fields = std::vector<absl::string_view>;

Fields FieldsOf(absl::string_view line) {
  if (absl::StrContains(line, '\t')) return absl::StrSplit(line, '\t', absl::SkipWhitespace());
  if (absl::StrContains(line, ',')) return absl::StrSplit(line, ',', absl::SkipWhitespace());
  return absl::StrSplit(line, ' ', absl::SkipEmpty());
}

absl::string_view FileOf(absl::string_view name) { return name.substr(name.rfind('/') + 1); }

// Calls `take` for each line with at least `least` fields, whose names `format` lists. What is wrong with a line is
// returned with its place.
absl::Status ForEachLine(const std::string& path, size_t least, absl::string_view format,
                         const std::function<absl::Status(const Fields&)>& take) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadFile(path));
  ASSIGN_OR_RETURN(const absl::string_view text, TextOfFile(path, bytes));
  int64_t number = 0;
  for (const absl::string_view whole : absl::StrSplit(text, '\n')) {
    ++number;
    const absl::string_view line = absl::StripAsciiWhitespace(whole);
    if (line.empty() || (number == 1 && absl::StartsWithIgnoreCase(line, "template_id"))) continue;
    const Fields fields = FieldsOf(line);
    const absl::Status status =
        fields.size() < least ? absl::InvalidArgumentError(absl::StrCat("a line must have ", format)) : take(fields);
    if (!status.ok()) return Annotate(status, absl::StrCat(path, ":", number));
  }
  return absl::OkStatus();
}

absl::StatusOr<int32_t> Known(const Numbering& templates, absl::string_view name) {
  const int32_t number = templates.Find(name);
  if (number >= 0) return number;
  return absl::NotFoundError(absl::StrCat("the list of templates has no template ", name));
}

}  // namespace

int32_t Numbering::NumberOf(absl::string_view name) {
  return numbers_.try_emplace(std::string(name), static_cast<int32_t>(numbers_.size())).first->second;
}

int32_t Numbering::Find(absl::string_view name) const {
  const auto found = numbers_.find(name);
  return found == numbers_.end() ? -1 : found->second;
}

absl::StatusOr<ImageNames> ImageNames::Parse(absl::string_view json, int64_t rows) {
  const nlohmann::json names = nlohmann::json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!names.is_array() || static_cast<int64_t>(names.size()) != rows) {
    return absl::InvalidArgumentError(absl::StrCat("its names are not a list of ", rows, " texts"));
  }
  ImageNames images;
  for (int64_t row = 0; row < rows; ++row) {
    if (!names[row].is_string()) return absl::InvalidArgumentError(absl::StrCat("name ", row, " is no text"));
    const std::string& name = names[row].get_ref<const std::string&>();
    images.rows_.emplace(name, row);
    const auto [entry, is_new] = images.rows_by_file_.emplace(std::string(FileOf(name)), row);
    if (!is_new) entry->second = -1;
  }
  return images;
}

int64_t ImageNames::RowOf(absl::string_view name) const {
  if (const auto found = rows_.find(name); found != rows_.end()) return found->second;
  const auto found = rows_by_file_.find(FileOf(name));
  return found == rows_by_file_.end() ? -1 : found->second;
}

absl::StatusOr<FaceList> ReadFaces(const std::string& path, const ImageNames& images, Numbering* templates) {
  FaceList list;
  Numbering media;
  RETURN_IF_ERROR(ForEachLine(path, 3, "an image, its template and its medium", [&](const Fields& fields) {
    const int32_t id = templates->NumberOf(fields[1]);
    const int64_t row = images.RowOf(fields[0]);
    if (row < 0) {
      list.missing.emplace_back(fields[0]);
    } else {
      list.faces.push_back({.row = row, .template_id = id, .medium = media.NumberOf(fields[2])});
    }
    return absl::OkStatus();
  }));
  if (templates->size() == 0) return absl::InvalidArgumentError(absl::StrCat(path, ": it has no template"));
  return list;
}

absl::Status ReadWeights(const std::string& path, const ImageNames& images, std::vector<worker::TemplateFace>* faces) {
  absl::flat_hash_map<int64_t, float> scores;
  RETURN_IF_ERROR(ForEachLine(path, 2, "an image and, last, its score", [&](const Fields& fields) {
    float score = 0;
    if (!absl::SimpleAtof(fields.back(), &score)) {
      return absl::InvalidArgumentError(absl::StrCat("the score ", fields.back(), " is no number"));
    }
    if (const int64_t row = images.RowOf(fields[0]); row >= 0) scores[row] = score;
    return absl::OkStatus();
  }));
  for (worker::TemplateFace& face : *faces) {
    const auto found = scores.find(face.row);
    if (found == scores.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat(path, ": it has no score for the image of row ", face.row, ", which a template has"));
    }
    face.weight = found->second;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<worker::TemplatePair>> ReadPairs(const std::string& path, const Numbering& templates) {
  std::vector<worker::TemplatePair> pairs;
  RETURN_IF_ERROR(ForEachLine(path, 3, "two templates, and 1 or 0", [&](const Fields& fields) -> absl::Status {
    worker::TemplatePair pair;
    ASSIGN_OR_RETURN(pair.a, Known(templates, fields[0]));
    ASSIGN_OR_RETURN(pair.b, Known(templates, fields[1]));
    if (fields[2] != "0" && fields[2] != "1") {
      return absl::InvalidArgumentError(absl::StrCat("the label ", fields[2], " is neither 1 nor 0"));
    }
    pair.same = fields[2] == "1";
    pairs.push_back(pair);
    return absl::OkStatus();
  }));
  return pairs;
}

absl::StatusOr<std::vector<worker::TemplateOfSubject>> ReadSubjects(const std::string& path, const Numbering& templates,
                                                                    Numbering* subjects) {
  std::vector<worker::TemplateOfSubject> list;
  absl::flat_hash_map<int32_t, int32_t> subject_of;
  RETURN_IF_ERROR(ForEachLine(path, 2, "a template and its subject", [&](const Fields& fields) -> absl::Status {
    ASSIGN_OR_RETURN(const int32_t id, Known(templates, fields[0]));
    const int32_t subject = subjects->NumberOf(fields[1]);
    const auto [known, is_new] = subject_of.emplace(id, subject);
    if (is_new) list.push_back({.template_id = id, .subject = subject});
    if (known->second == subject) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat("template ", fields[0], " had another subject before"));
  }));
  if (list.empty()) return absl::InvalidArgumentError(absl::StrCat(path, ": it has no template"));
  return list;
}

}  // namespace arcshard::cli
