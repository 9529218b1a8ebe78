#pragma once

#include <string>

#include "arcshard/v1/coordinator.pb.h"
#include "nlohmann/json.hpp"

// Pieces of what `arcshard status --json` prints.
namespace arcshard::cli {

// The object "progress".
nlohmann::ordered_json ProgressObject(const v1::Progress& progress);

// The text of the whole: indented, with a newline at its end. Bytes that are not UTF-8 are replaced.
std::string StatusDocument(const nlohmann::ordered_json& all);

}  // namespace arcshard::cli
