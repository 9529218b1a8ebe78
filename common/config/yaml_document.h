#pragma once

#include <yaml-cpp/yaml.h>

#include <string>

#include "absl/status/statusor.h"

namespace arcshard {

// The one YAML document that `text` is; an empty text is a null node. InvalidArgument: malformed ("NAME:LINE:COLUMN:
// malformed YAML: ..."), or something follows the document.
absl::StatusOr<YAML::Node> ParseYamlDocument(const std::string& text, const std::string& name);

}  // namespace arcshard
