#pragma once

#include <string>

namespace arcshard::cli {

// Something that `arcshard check` has compared, and what came of it.
struct Finding {
  std::string what;        // "step-00000020.1/backbone.safetensors"
  std::string difference;  // "differs in ..."; empty: it is equal

  bool equal() const { return difference.empty(); }
};

}  // namespace arcshard::cli
