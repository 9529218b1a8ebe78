#pragma once

#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"

namespace arcshard {

// CRC-32C (Castagnoli; of "123456789" it is e3069283) of the bytes that `crc` is of, followed by `data`. Of none it is
// 0.
uint32_t Crc32c(absl::Span<const std::byte> data, uint32_t crc = 0);

}  // namespace arcshard
