#include "common/config/yaml_document.h"

#include <yaml-cpp/eventhandler.h>

#include <sstream>

#include "absl/strings/str_cat.h"

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
    const YAML::Mark& mark = error.mark;
    const std::string place = mark.is_null() ? "" : absl::StrCat(":", mark.line + 1, ":", mark.column + 1);
    return absl::InvalidArgumentError(absl::StrCat(name, place, ": malformed YAML: ", error.msg));
  }
}

}  // namespace arcshard
