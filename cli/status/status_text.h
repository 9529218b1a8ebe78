#pragma once

#include <cstddef>
#include <limits>
#include <string>

#include "arcshard/v1/coordinator.pb.h"

namespace arcshard::cli {

// How a run's status is shown: by default as it goes to a file.
struct StatusLook {
  size_t width = std::numeric_limits<size_t>::max();  // columns; what matters least is left out
  bool colours = false;
  bool bar = false;  // of what is done
};

// A run's status for people: where it is, a line for each member, and what the phases of a step took of late, for each
// role the mean over its members and the slowest of them. Ends with a newline. Control characters of what others say
// of themselves are replaced.
std::string StatusText(const v1::RunStatus& status, const std::string& coordinator, const StatusLook& look = {});

// The same for scripts, with every member's figures: one JSON object under the names of coordinator.proto; times in
// seconds, memory in bytes.
std::string StatusJson(const v1::RunStatus& status, const std::string& coordinator);

}  // namespace arcshard::cli
