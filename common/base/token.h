#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

// Secrets by which one process tells another from those of the same role.
namespace arcshard {

inline constexpr size_t kTokenBytes = 16;

// kTokenBytes from the system's random source: nobody guesses them.
std::string NewToken();

// Whether both are the same, in a time that does not tell how much of them is.
bool SameToken(absl::string_view one, absl::string_view other);

}  // namespace arcshard
