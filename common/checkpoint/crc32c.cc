#include "common/checkpoint/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace arcshard {

uint32_t Crc32c(absl::Span<const std::byte> data, uint32_t crc) {
  constexpr size_t kLargestCall = size_t{1} << 30;  // ISA-L counts in int
  crc = ~crc;                                       // it inverts neither before nor after
  while (!data.empty()) {
    const absl::Span<const std::byte> piece = data.first(std::min(data.size(), kLargestCall));
    // It reads only, but does not say so.
    crc = crc32_iscsi(reinterpret_cast<unsigned char*>(const_cast<std::byte*>(piece.data())),
                      static_cast<int>(piece.size()), crc);
    data.remove_prefix(piece.size());
  }
  return ~crc;
}

}  // namespace arcshard
