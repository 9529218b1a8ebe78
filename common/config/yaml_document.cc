#include "common/config/yaml_document.h"

#include <yaml-cpp/eventhandler.h>

#include <sstream>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace arcshard {
namespace {

class IgnoreEvents final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t, const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t, YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// The number of the first line that is indented with a tab, from 1; 0: there is none.
int LineIndentedWithTab(const std::string& text) {
  int number = 1;
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::string_view indentation = line.substr(0, line.find_first_not_of(" \t"));
    if (indentation.size() < line.size() && absl::StrContains(indentation, '\t')) return number;
    ++number;
  }
  return 0;
}

}  // namespace

absl::StatusOr<YAML::Node> ParseYamlDocument(const std::string& text, const std::string& name) {
  if (text.size() > kLargestYaml) {
    return absl::InvalidArgumentError(
        absl::StrCat(name, ": has ", text.size(), " bytes; YAML of a run has at most ", kLargestYaml));
  }
  try {
    // The documents are counted first: YAML::Load ignores everything after the first one, and YAML::LoadAll does not
    // terminate for a text that begins with ','.
    std::istringstream stream(text);
    YAML::Parser parser(stream);
    IgnoreEvents ignore;
    if (parser.HandleNextDocument(ignore) && parser.HandleNextDocument(ignore)) {
      return absl::InvalidArgumentError(absl::StrCat(name, ": expects one YAML document, found more"));
    }
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    const int line = LineIndentedWithTab(text);
    if (line > 0 && (error.mark.is_null() || line <= error.mark.line + 1)) {
      return absl::InvalidArgumentError(
          absl::StrCat(name, ":", line, ": the line is indented with a tab; YAML allows only spaces there"));
    }
    const YAML::Mark& mark = error.mark;
    const std::string place = mark.is_null() ? "" : absl::StrCat(":", mark.line + 1, ":", mark.column + 1);
    return absl::InvalidArgumentError(absl::StrCat(name, place, ": malformed YAML: ", error.msg));
  }
}

}  // namespace arcshard
