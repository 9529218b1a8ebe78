#include "worker/data/images/jpeg_zeros.h"

#include <cassert>
#include <cstdint>

namespace arcshard::worker {
namespace {

constexpr uint8_t kFill = 0xff, kFirstRestart = 0xd0, kLastRestart = 0xd7, kEnd = 0xd9, kScan = 0xda;
constexpr size_t kMoreThanTablesHave = 24;

uint8_t ByteAt(absl::string_view bytes, size_t at) { return static_cast<uint8_t>(bytes[at]); }

// Where the next marker begins that ends the data of a scan; bytes.size(): there is none.
size_t EndOfScan(absl::string_view bytes, size_t at) {
  for (; (at = bytes.find('\xff', at)) != absl::string_view::npos && at + 1 < bytes.size(); ++at) {
    const uint8_t code = ByteAt(bytes, at + 1);
    if (code != 0 && code != kFill && (code < kFirstRestart || code > kLastRestart)) return at;
  }
  return bytes.size();
}

// The segments that begin at `at`, up to the data of the next scan; where they are damaged, all bytes to the end.
// Empty: there is the end marker, or nothing.
absl::string_view TablesAt(absl::string_view bytes, size_t begin) {
  for (size_t at = begin; at + 4 <= bytes.size();) {
    if (ByteAt(bytes, at) != kFill) return bytes.substr(begin);
    const uint8_t code = ByteAt(bytes, at + 1);
    if (code == kEnd) return bytes.substr(begin, at - begin);
    at += code == kFill ? 1 : 2 + (size_t{ByteAt(bytes, at + 2)} << 8 | ByteAt(bytes, at + 3));
    if (code == kScan) return bytes.substr(begin, at - begin);
  }
  return absl::string_view();
}

}  // namespace

size_t FirstRunOfZeros(absl::string_view bytes, size_t least) {
  assert(least >= 1);
  // A run of `least` bytes covers one of every `least` positions, so most bytes are not looked at.
  for (size_t at = least - 1; at < bytes.size();) {
    if (bytes[at] != 0) {
      at += least;
      continue;
    }
    size_t begin = at, end = at + 1;
    while (begin > 0 && bytes[begin - 1] == 0) --begin;
    while (end < bytes.size() && bytes[end] == 0) ++end;
    if (begin > 0 && bytes[begin - 1] == '\xff') ++begin;
    if (end - begin >= least) return end - begin;
    at = end - 1 + least;
  }
  return 0;
}

size_t FirstRunOfZerosInScans(absl::string_view bytes, size_t least) {
  for (size_t at = 0; at < bytes.size();) {
    const size_t end = EndOfScan(bytes, at);
    size_t data_end = end;
    if (end + 1 < bytes.size() && ByteAt(bytes, end + 1) == kEnd) {
      while (data_end > at && bytes[data_end - 1] == 0) --data_end;
    }
    if (const size_t zeros = FirstRunOfZeros(bytes.substr(at, data_end - at), least); zeros != 0) return zeros;
    const absl::string_view tables = TablesAt(bytes, end);
    if (const size_t zeros = FirstRunOfZeros(tables, kMoreThanTablesHave); zeros != 0) return zeros;
    if (tables.empty()) return 0;
    at = end + tables.size();
  }
  return 0;
}

}  // namespace arcshard::worker
