#include "common/checkpoint/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace arcshard {

uint32_t Crc32c(absl::Span<const std::byte> data, uint32_t crc) {
  constexpr size_t kLargestCall = size_t{1} << 30;  // ISA-L takes the length as an int
  crc = ~crc;                                       // ISA-L does not invert the bits before or after
  while (!data.empty()) {
    const absl::Span<const std::byte> piece = data.first(std::min(data.size(), kLargestCall));
    // The parameter is not const, but the function only reads it.
    crc = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<std::byte*>(piece.data())),
                      static_cast<int>(piece.size()), crc);
    data.remove_prefix(piece.size());
  }
  return ~crc;
}

}  // namespace arcshard
