#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

// Secrets that tell a process apart from others of the same role.
namespace arcshard {

inline constexpr size_t kTokenBytes = 16;

// kTokenBytes bytes from the system's random source, which cannot be guessed.
std::string NewToken();

// Whether both are equal. Takes the same time wherever they differ, so that timing reveals nothing.
bool SameToken(absl::string_view one, absl::string_view other);

}  // namespace arcshard
