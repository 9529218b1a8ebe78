#pragma once

#include <cstddef>
#include <limits>
#include <string>

#include "arcshard/v1/coordinator.pb.h"

namespace arcshard::cli {

// How a run's status is shown. The defaults are for a file.
struct StatusLook {
  size_t width = std::numeric_limits<size_t>::max();  // columns; the least important ones are left out
  bool colours = false;
  bool bar = false;  // with a progress bar
};

// A run's status for people: its progress, a line for each member, and the recent times of a step's phases: for each
// role the mean over its members, and the slowest member. Ends with a newline. Control characters in names that other
// processes have sent are replaced.
std::string StatusText(const v1::RunStatus& status, const std::string& coordinator, const StatusLook& look = {});

// The same for scripts, with every member's figures: one JSON object under the names of coordinator.proto; times in
// seconds, memory in bytes.
std::string StatusJson(const v1::RunStatus& status, const std::string& coordinator);

}  // namespace arcshard::cli
