#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace arcshard {

// CRC-32C (Castagnoli): extends `crc`, the CRC-32C of earlier bytes, by `data`. The CRC of no bytes is 0, that of
// "123456789" is e3069283.
uint32_t Crc32c(absl::Span<const std::byte> data, uint32_t crc = 0);

}  // namespace arcshard
