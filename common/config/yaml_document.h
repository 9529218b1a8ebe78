#pragma once

#include <yaml-cpp/yaml.h>

#include <string>

#include "absl/status/statusor.h"

namespace arcshard {

// Parses `text`, which must be a single YAML document; an empty text is a null node. InvalidArgument: it is malformed
// ("NAME:LINE:COLUMN: malformed YAML: ..."), or something follows the document.
absl::StatusOr<YAML::Node> ParseYamlDocument(const std::string& text, const std::string& name);

}  // namespace arcshard
