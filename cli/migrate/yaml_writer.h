#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "common/config/run_config.h"
#include "common/config/schema.h"

namespace arcshard::cli {

// The text with spaces for line breaks and other control characters, which would end a comment.
std::string InOneLine(absl::string_view text);

// Collects some keys of a run's configuration with a comment each, and prints them as YAML in the order of the schema.
class YamlWriter {
 public:
  YamlWriter();
  YamlWriter(const YamlWriter&) = delete;  // the keys point into config_

  // Sets a key. A value that the schema refuses is left out, and the comment says why.
  void Set(const std::string& key, const std::vector<std::string>& texts, absl::string_view comment);
  void Set(const std::string& key, const std::string& text, absl::string_view comment);

  // A line of comment in the section, or at the end if `section` is empty.
  void Say(const std::string& section, absl::string_view comment);

  std::string Text() const;

 private:
  RunConfig config_;
  std::vector<ConfigKey> keys_;
  std::map<std::string, std::string> lines_;                  // by key
  std::map<std::string, std::vector<std::string>> comments_;  // by section; "": at the end
};

}  // namespace arcshard::cli
