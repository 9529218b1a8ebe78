#pragma once

#include <bit>
#include <cstdint>

namespace arcshard::worker {

static_assert(std::endian::native == std::endian::little,
              "RecordIO is little endian, and parts are copied as they are");

// A record of a RecordIO file is one or several parts, each: magic | flag << 29 | length | payload | padding to 4
// bytes.
constexpr uint32_t kRecordMagic = 0xced7230a;
constexpr int kRecordPartHeaderBytes = 8;
constexpr int kRecordLengthBits = 29;

enum class RecordPartFlag : uint32_t { kWhole = 0, kFirst = 1, kMiddle = 2, kLast = 3 };

}  // namespace arcshard::worker
