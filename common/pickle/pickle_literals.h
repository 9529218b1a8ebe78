#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/status_macros.h"
#include "common/pickle/pickle_stack.h"
#include "common/pickle/pickle_text.h"

namespace arcshard {

// Reads a pickle's bytes in their order, and puts the numbers and texts that are spelt there on the stack.
class PickleLiterals : public PickleStack {
 public:
  PickleLiterals(PickleDocument* document, absl::string_view bytes) : PickleStack(document), bytes_(bytes) {}

  size_t at() const { return at_; }
  size_t rest() const { return bytes_.size() - at_; }

  // Returns the next bytes.
  absl::StatusOr<absl::string_view> Take(uint64_t count) {
    if (count > rest()) {
      return absl::InvalidArgumentError(
          absl::StrCat("cut off: ", count, " bytes at offset ", at_, " pass the end at ", bytes_.size()));
    }
    const absl::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }
  absl::StatusOr<absl::string_view> TakeLine() {
    const size_t end = bytes_.find('\n', at_);
    if (end == absl::string_view::npos) return Refuse("has no end of line");
    const absl::string_view line = bytes_.substr(at_, end - at_);
    at_ = end + 1;
    return line;
  }
  // Reads a little-endian number of `width` bytes.
  absl::StatusOr<uint64_t> TakeNumber(int width) {
    ASSIGN_OR_RETURN(const absl::string_view raw, Take(width));
    uint64_t number = 0;
    std::memcpy(&number, raw.data(), raw.size());
    return number;
  }

  // Reads a length and a text of that length.
  absl::Status PushCounted(Kind kind, int width) {
    ASSIGN_OR_RETURN(const uint64_t length, TakeNumber(width));
    ASSIGN_OR_RETURN(const absl::string_view text, Take(length));
    return PushText(kind, text);
  }
  // INT and LONG of protocol 0: decimal; 00 and 01 are False and True.
  absl::Status PushDecimal(bool may_be_bool) {
    ASSIGN_OR_RETURN(absl::string_view line, TakeLine());
    if (may_be_bool && (line == "00" || line == "01")) return PushInteger(Kind::kBool, line == "01");
    if (!may_be_bool && !line.empty() && line.back() == 'L') line.remove_suffix(1);
    int64_t integer;
    if (absl::SimpleAtoi(line, &integer)) return PushInteger(Kind::kInt, integer);
    const absl::string_view digits = line.substr(!line.empty() && line[0] == '-' ? 1 : 0);
    if (digits.empty() || !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit)) {
      return Refuse("has no integer");
    }
    return PushText(Kind::kLongInt, line);
  }
  // FLOAT: decimal. BINFLOAT: IEEE 754, big-endian.
  absl::Status PushDecimalReal() {
    ASSIGN_OR_RETURN(const absl::string_view line, TakeLine());
    double real;
    if (!absl::SimpleAtod(line, &real)) return Refuse("has no number");
    return PushReal(real);
  }
  absl::Status PushBinaryReal() {
    ASSIGN_OR_RETURN(const uint64_t raw, TakeNumber(8));
    return PushReal(std::bit_cast<double>(__builtin_bswap64(raw)));
  }
  // LONG1 and LONG4: two's complement of any length.
  absl::Status PushLong(int width) {
    ASSIGN_OR_RETURN(const uint64_t length, TakeNumber(width));
    if (length > 8) {
      ASSIGN_OR_RETURN(const absl::string_view raw, Take(length));
      return PushText(Kind::kLongInt, raw);
    }
    ASSIGN_OR_RETURN(const uint64_t raw, TakeNumber(static_cast<int>(length)));
    const int unused = 64 - 8 * static_cast<int>(length);
    return PushInteger(Kind::kInt, unused == 64 ? 0 : static_cast<int64_t>(raw << unused) >> unused);
  }
  absl::Status PushEscaped(Kind kind) {
    ASSIGN_OR_RETURN(const absl::string_view line, TakeLine());
    absl::StatusOr<std::string> text = kind == Kind::kBytes ? UnquotePythonString(line) : DecodeRawUnicodeEscape(line);
    if (!text.ok()) return Refuse("has ", text.status().message());
    return PushOwnedText(kind, *std::move(text));
  }

 private:
  const absl::string_view bytes_;
  size_t at_ = 0;
};

}  // namespace arcshard
