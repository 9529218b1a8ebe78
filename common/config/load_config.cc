#include "common/config/load_config.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <set>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/config/path_text.h"
#include "common/config/schema.h"
#include "common/config/value.h"
#include "common/config/yaml_document.h"
#include "common/io/file.h"
#include "common/text/nearest_name.h"

namespace arcshard {
namespace {

std::string SectionOf(const std::string& name) { return name.substr(0, name.find('.')); }

// The source that is being read: a file, or one override.
struct Source {
  std::string name;
  bool has_lines = true;
};

// The place of a node for messages: "run.yaml:12" or "--set a.b=c".
std::string PlaceOf(const Source& source, const YAML::Mark& mark) {
  return source.has_lines && !mark.is_null() ? absl::StrCat(source.name, ":", mark.line + 1) : source.name;
}

absl::Status Refuse(absl::string_view place, absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat(place, ": ", what));
}

// Describes a node of an unexpected type.
std::string Describe(const YAML::Node& node) {
  switch (node.Type()) {
    case YAML::NodeType::Map:
      return "a map";
    case YAML::NodeType::Sequence:
      return "a list";
    case YAML::NodeType::Scalar:
      return absl::StrCat("'", node.Scalar(), "'");
    default:
      return "nothing";
  }
}

// The folder that relative paths in a file count from: its own, or the working directory for a pipe, such as
// /dev/stdin.
std::filesystem::path FolderOf(const std::string& file_name) {
  std::error_code error;
  const std::filesystem::file_status status = std::filesystem::status(file_name, error);
  const bool is_pipe = std::filesystem::exists(status) && !std::filesystem::is_regular_file(status);
  return is_pipe ? std::filesystem::path() : std::filesystem::path(file_name).parent_path();
}

// Fills a RunConfig key by key, from a document and then from overrides.
class Reader {
 public:
  Reader() : keys_(ConfigKeys(&config_)) {
    for (const ConfigKey& key : keys_) {
      by_name_[key.name] = &key;
      const std::string section = SectionOf(key.name);
      if (names_.empty() || std::find(names_.begin(), names_.end(), section) == names_.end()) names_.push_back(section);
    }
    sections_.insert(names_.begin(), names_.end());
    for (const ConfigKey& key : keys_) names_.push_back(key.name);
  }
  Reader(const Reader&) = delete;  // the keys point into config_
  Reader& operator=(const Reader&) = delete;

  absl::Status ReadDocument(const YAML::Node& root, const std::string& file_name);
  absl::Status ReadOverride(const std::string& assignment);
  const RunConfig& config() const { return config_; }

 private:
  absl::Status ReadSection(const std::string& section, const YAML::Node& keys, const Source& source);
  absl::Status SetKey(const ConfigKey& key, const YAML::Node& node, const Source& source);
  absl::Status UnknownName(const std::string& name, const std::string& place) const;
  absl::Status MakePathsAbsolute(const ConfigKey& key, const std::filesystem::path& folder_of_file,
                                 absl::string_view place);

  RunConfig config_;
  std::vector<ConfigKey> keys_;
  std::map<std::string, const ConfigKey*> by_name_;
  std::set<std::string> sections_;
  std::vector<std::string> names_;  // all sections and keys
};

absl::Status Reader::UnknownName(const std::string& name, const std::string& place) const {
  return Refuse(place, absl::StrCat("unknown key ", name, "; the nearest valid name is ", NearestNames(name, names_)));
}

absl::Status Reader::ReadDocument(const YAML::Node& root, const std::string& file_name) {
  const Source source{file_name};
  if (!root.IsNull() && !root.IsMap()) {
    return Refuse(PlaceOf(source, root.Mark()), absl::StrCat("expects a map of sections, found ", Describe(root)));
  }
  std::set<std::string> seen;
  for (const auto& item : root) {
    const std::string place = PlaceOf(source, item.first.Mark());
    if (!item.first.IsScalar())
      return Refuse(place, absl::StrCat("expects a section's name, found ", Describe(item.first)));
    const std::string& section = item.first.Scalar();
    if (!sections_.contains(section)) return UnknownName(section, place);
    if (!seen.insert(section).second) return Refuse(place, absl::StrCat("section ", section, " is repeated here"));
    RETURN_IF_ERROR(ReadSection(section, item.second, source));
  }
  for (const ConfigKey& key : keys_) RETURN_IF_ERROR(MakePathsAbsolute(key, FolderOf(file_name), file_name));
  return absl::OkStatus();
}

absl::Status Reader::ReadSection(const std::string& section, const YAML::Node& keys, const Source& source) {
  if (keys.IsNull()) return absl::OkStatus();  // all its keys are commented out
  if (!keys.IsMap()) {
    return Refuse(PlaceOf(source, keys.Mark()),
                  absl::StrCat("section ", section, " expects a map of keys, found ", Describe(keys)));
  }
  std::set<std::string> seen;
  for (const auto& item : keys) {
    const std::string place = PlaceOf(source, item.first.Mark());
    if (!item.first.IsScalar())
      return Refuse(place, absl::StrCat("expects a key's name, found ", Describe(item.first)));
    const std::string name = absl::StrCat(section, ".", item.first.Scalar());
    const auto key = by_name_.find(name);
    if (key == by_name_.end()) return UnknownName(name, place);
    if (!seen.insert(name).second) return Refuse(place, absl::StrCat("key ", name, " is repeated here"));
    RETURN_IF_ERROR(SetKey(*key->second, item.second, source));
  }
  return absl::OkStatus();
}

absl::Status Reader::SetKey(const ConfigKey& key, const YAML::Node& node, const Source& source) {
  const auto set = [&](const YAML::Node& scalar) -> absl::Status {
    const std::string place = PlaceOf(source, scalar.Mark());
    if (!scalar.IsScalar()) {
      const bool is_tilde = scalar.IsNull() && key.path_base != PathBase::kNotAPath;  // or nothing at all
      return Refuse(place,
                    absl::StrCat(key.name, " expects ", DescribeType(key.value), ", found ", Describe(scalar),
                                 is_tilde ? " (YAML's ~ alone is nothing; \"~\" in quotes is the home folder)" : ""));
    }
    // yaml-cpp gives a scalar in quotes the tag "!".
    const absl::Status status = SetFromText(key, scalar.Scalar(), scalar.Tag() == "!");
    return status.ok() ? status : Refuse(place, absl::StrCat(key.name, " ", status.message()));
  };
  if (!IsList(key.value)) return set(node);
  if (!node.IsSequence()) {
    return Refuse(PlaceOf(source, node.Mark()),
                  absl::StrCat(key.name, " expects ", DescribeType(key.value), ", found ", Describe(node)));
  }
  ClearList(key.value);
  for (const YAML::Node& element : node) RETURN_IF_ERROR(set(element));
  return absl::OkStatus();
}

absl::Status Reader::ReadOverride(const std::string& assignment) {
  const std::string place = absl::StrCat("--set ", assignment);
  const std::pair<std::string, std::string> sides = absl::StrSplit(assignment, absl::MaxSplits('=', 1));
  const auto found = by_name_.find(sides.first);
  if (sides.first.empty() || assignment.find('=') == std::string::npos) {
    return Refuse(place, "expects section.key=value, such as data.batch_size=64");
  }
  if (sections_.contains(sides.first)) return Refuse(place, absl::StrCat(sides.first, " is a section, not a key"));
  if (found == by_name_.end()) return UnknownName(sides.first, place);
  const ConfigKey& key = *found->second;
  if (IsList(key.value)) {
    const absl::StatusOr<YAML::Node> list = ParseYamlDocument(sides.second, place);
    if (!list.ok())
      return Refuse(place, absl::StrCat(key.name, " expects ", DescribeType(key.value), ", such as [a, b]"));
    RETURN_IF_ERROR(SetKey(key, *list, {place, /*has_lines=*/false}));
  } else {
    const absl::Status status = SetFromText(key, sides.second, /*quoted=*/false);
    if (!status.ok()) return Refuse(place, absl::StrCat(key.name, " ", status.message()));
  }
  return MakePathsAbsolute(key, /*folder_of_file=*/"", place);
}

absl::Status Reader::MakePathsAbsolute(const ConfigKey& key, const std::filesystem::path& folder_of_file,
                                       absl::string_view place) {
  if (key.path_base == PathBase::kNotAPath) return absl::OkStatus();
  const auto absolute = [&](std::string& path) -> absl::Status {
    if (path.empty()) return absl::OkStatus();
    absl::StatusOr<std::string> expanded = ExpandPath(path);
    if (!expanded.ok()) return Refuse(place, absl::StrCat(key.name, " ", expanded.status().message()));
    path = *std::move(expanded);
    std::error_code error;  // if there is no working directory the path stays relative, and opening it fails
    const std::filesystem::path result = std::filesystem::absolute(folder_of_file / path, error);
    if (!error) path = result.lexically_normal().string();
    if (path.size() > 1 && path.back() == '/') path.pop_back();
    return absl::OkStatus();
  };
  if (std::string* const* path = std::get_if<std::string*>(&key.value)) return absolute(**path);
  if (std::vector<std::string>* const* paths = std::get_if<std::vector<std::string>*>(&key.value)) {
    for (std::string& path : **paths) RETURN_IF_ERROR(absolute(path));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<RunConfig> ParseRunConfig(const std::string& yaml_text, const std::string& file_name,
                                         const std::vector<std::string>& overrides) {
  ASSIGN_OR_RETURN(const YAML::Node document, ParseYamlDocument(yaml_text, file_name));
  Reader reader;
  RETURN_IF_ERROR(reader.ReadDocument(document, file_name));
  for (const std::string& assignment : overrides) RETURN_IF_ERROR(reader.ReadOverride(assignment));
  const absl::Status status = CheckRunConfig(reader.config());
  if (!status.ok()) return Annotate(status, file_name);
  return reader.config();
}

absl::StatusOr<RunConfig> LoadRunConfig(const std::string& path, const std::vector<std::string>& overrides) {
  if (absl::EndsWith(path, ".py")) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is Python, and a run's configuration is YAML; for one of ",
                                                   "InsightFace, arcshard import-config ", path,
                                                   " > run.yaml makes it"));
  }
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kLargestYaml));
  return ParseRunConfig(text, path, overrides);
}

}  // namespace arcshard
