#include "cli/migrate/yaml_writer.h"

#include <algorithm>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "common/config/value.h"

namespace arcshard::cli {
namespace {

std::string SectionOf(const std::string& key) { return key.substr(0, key.find('.')); }

std::string Commented(absl::string_view text, absl::string_view comment) {
  if (comment.empty()) return std::string(text);
  const size_t padding = text.size() < 32 ? 32 - text.size() : 1;
  return absl::StrCat(text, std::string(padding, ' '), "# ", InOneLine(comment));
}

}  // namespace

std::string InOneLine(absl::string_view text) {
  std::string line(text);
  std::replace_if(
      line.begin(), line.end(), [](char c) { return absl::ascii_iscntrl(static_cast<unsigned char>(c)); }, ' ');
  return line;
}

YamlWriter::YamlWriter() : keys_(ConfigKeys(&config_)) {}

void YamlWriter::Set(const std::string& key, const std::vector<std::string>& texts, absl::string_view comment) {
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const ConfigKey& k) { return k.name == key; });
  ClearList(found->value);
  for (const std::string& text : texts) {
    const absl::Status status = SetFromText(*found, text, /*quoted=*/false);
    if (status.ok()) continue;
    return Say(SectionOf(key), absl::StrCat(key, " is left out, it ", absl::string_view(status.message()),
                                            comment.empty() ? "" : ": ", comment));
  }
  lines_[key] = Commented(absl::StrCat("  ", key.substr(key.find('.') + 1), ": ", FormatValue(found->value)), comment);
}

void YamlWriter::Set(const std::string& key, const std::string& text, absl::string_view comment) {
  Set(key, std::vector<std::string>{text}, comment);
}

void YamlWriter::Say(const std::string& section, absl::string_view comment) {
  comments_[section].push_back(absl::StrCat(section.empty() ? "# " : "  # ", InOneLine(comment)));
}

std::string YamlWriter::Text() const {
  std::vector<std::string> sections;
  std::map<std::string, std::string> bodies;
  for (const ConfigKey& key : keys_) {
    const std::string section = SectionOf(key.name);
    if (sections.empty() || sections.back() != section) sections.push_back(section);
    if (const auto line = lines_.find(key.name); line != lines_.end()) {
      absl::StrAppend(&bodies[section], line->second, "\n");
    }
  }
  sections.emplace_back();  // of the comments at the end
  for (const auto& [section, comments] : comments_) {
    for (const std::string& comment : comments) absl::StrAppend(&bodies[section], comment, "\n");
  }
  std::string text;
  for (const std::string& section : sections) {
    if (bodies[section].empty()) continue;
    absl::StrAppend(&text, text.empty() ? "" : "\n", section, section.empty() ? "" : ":\n", bodies[section]);
  }
  return text;
}

}  // namespace arcshard::cli
