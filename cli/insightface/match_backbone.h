#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "worker/backbone/backbone.h"

namespace arcshard::cli {

using TensorShapes = std::map<std::string, std::vector<int64_t>>;

// The network that has exactly these tensors, of those that arcshard knows; nullopt: none.
std::optional<worker::BackboneOptions> MatchBackbone(const TensorShapes& state_dict);

// What another program put in front of every name, such as "backbone." or "student.net.": without it they are a
// network's that arcshard knows. Empty: there is no such, or the network is known as it is.
std::string ForeignPart(const TensorShapes& state_dict);

}  // namespace arcshard::cli
