#pragma once

#include <cstdint>

#include "absl/strings/string_view.h"

namespace arcshard {

// FNV-1a: a hash that is the same in every process and on every machine, other than Abseil's.
inline constexpr uint64_t kFnv1aBasis = 0xcbf29ce484222325;
inline uint64_t ExtendFnv1a(uint64_t hash, absl::string_view text) {
  for (const char byte : text) hash = (hash ^ static_cast<unsigned char>(byte)) * 0x100000001b3;
  return hash;
}

}  // namespace arcshard
