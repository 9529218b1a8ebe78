#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "worker/backbone/backbone.h"

namespace arcshard::cli {

using TensorShapes = std::map<std::string, std::vector<int64_t>>;

// Which of the networks that arcshard knows has exactly these tensors; nullopt: none.
std::optional<worker::BackboneOptions> MatchBackbone(const TensorShapes& state_dict);

}  // namespace arcshard::cli
