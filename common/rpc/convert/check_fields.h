#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

// Checks of a received message's fields. InvalidArgument: the field is not as it has to be; the message names it.
namespace arcshard {

inline constexpr size_t kLongestName = 256;  // bytes of a host's name, a device's uuid, a token and the like
inline constexpr int kMostMembers = 4096;    // of a role, as in the configuration

inline absl::Status Missing(absl::string_view field) {
  return absl::InvalidArgumentError(absl::StrCat(field, " is missing"));
}

inline absl::Status CheckName(absl::string_view field, const std::string& name) {
  if (name.size() <= kLongestName) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field, " has ", name.size(), " bytes; at most ", kLongestName, " are taken"));
}

inline absl::Status CheckCount(absl::string_view field, int count, int most) {
  if (count <= most) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(field, " has ", count, " entries; at most ", most, " are taken"));
}

inline bool IsTime(double seconds) { return std::isfinite(seconds) && seconds >= 0; }

// The time, or 0 where it cannot be; `odd` counts that.
inline double TimeOrZero(double seconds, uint64_t* odd) {
  if (IsTime(seconds)) return seconds;
  ++*odd;
  return 0.0;
}

}  // namespace arcshard
