#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "common/config/load_config.h"
#include "common/config/path_text.h"
#include "common/config/schema.h"
#include "common/config/value.h"

namespace arcshard {
namespace {

// "samples; in a step, over all workers (from 2 to 1048576; fixed on resume)"
std::string Explain(const ConfigKey& key) {
  std::vector<std::string> rules;
  if (std::string bounds = DescribeCheck(key.check); !bounds.empty()) rules.push_back(std::move(bounds));
  if (key.on_resume != OnResume::kMayChange) rules.push_back("fixed on resume");
  return absl::StrCat(key.unit, key.unit.empty() ? "" : "; ", key.help,
                      rules.empty() ? "" : absl::StrCat(" (", absl::StrJoin(rules, "; "), ")"));
}

// Writes the key's paths as the reader of a configuration takes them.
void EscapePaths(const ConfigKey& key) {
  if (key.path_base == PathBase::kNotAPath) return;
  if (std::string* const* path = std::get_if<std::string*>(&key.value)) **path = EscapePath(**path);
  if (std::vector<std::string>* const* paths = std::get_if<std::vector<std::string>*>(&key.value)) {
    for (std::string& path : **paths) path = EscapePath(path);
  }
}

}  // namespace

std::string ToYaml(const RunConfig& config) {
  RunConfig copy = config;
  std::string text;
  std::string section;
  for (const ConfigKey& key : ConfigKeys(&copy)) {
    EscapePaths(key);
    const size_t dot = key.name.find('.');
    if (key.name.substr(0, dot) != section) {
      absl::StrAppend(&text, section.empty() ? "" : "\n", key.name.substr(0, dot), ":\n");
      section = key.name.substr(0, dot);
    }
    absl::StrAppend(&text, "  ", key.name.substr(dot + 1), ": ", FormatValue(key.value), "  # ", Explain(key), "\n");
  }
  return text;
}

std::string ConfigHelp() {
  RunConfig defaults;
  std::string text;
  for (const ConfigKey& key : ConfigKeys(&defaults)) {
    const std::string assignment = absl::StrCat(key.name, " = ", FormatValue(key.value));
    const size_t padding = assignment.size() < 36 ? 36 - assignment.size() : 1;
    absl::StrAppend(&text, assignment, std::string(padding, ' '), Explain(key), "\n");
  }
  return text;
}

}  // namespace arcshard
