#pragma once

#include <yaml-cpp/yaml.h>

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace arcshard {

// The most bytes of a document, comments included. A run's file has some KiB, and Kubernetes passes no more than this.
// yaml-cpp takes two seconds and 250 MB for the worst text of this length.
inline constexpr uint64_t kLargestYaml = uint64_t{1} << 20;

// Parses `text`, which must be a single YAML document; an empty text is a null node. InvalidArgument: it is malformed
// ("NAME:LINE:COLUMN: malformed YAML: ..."), longer than kLargestYaml, or something follows the document.
absl::StatusOr<YAML::Node> ParseYamlDocument(const std::string& text, const std::string& name);

}  // namespace arcshard
