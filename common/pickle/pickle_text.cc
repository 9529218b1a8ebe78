#include "common/pickle/pickle_text.h"

#include <cstdint>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace arcshard {
namespace {

// The value of the `count` hexadecimal digits at the beginning of `text`; -1 if they are not there.
int64_t HexDigits(absl::string_view text, size_t count) {
  if (text.size() < count) return -1;
  int64_t value = 0;
  for (const char c : text.substr(0, count)) {
    int digit;
    if (c >= '0' && c <= '9') {
      digit = c - '0';
    } else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f') {
      digit = (c | 0x20) - 'a' + 10;
    } else {
      return -1;
    }
    value = value * 16 + digit;
  }
  return value;
}

void AppendUtf8(int64_t code_point, std::string* out) {
  const auto tail = [&](int shift) { out->push_back(static_cast<char>(0x80 | ((code_point >> shift) & 0x3f))); };
  if (code_point < 0x80) {
    out->push_back(static_cast<char>(code_point));
  } else if (code_point < 0x800) {
    out->push_back(static_cast<char>(0xc0 | code_point >> 6));
    tail(0);
  } else if (code_point < 0x10000) {
    out->push_back(static_cast<char>(0xe0 | code_point >> 12));
    tail(6);
    tail(0);
  } else {
    out->push_back(static_cast<char>(0xf0 | code_point >> 18));
    tail(12);
    tail(6);
    tail(0);
  }
}

}  // namespace

absl::StatusOr<std::string> UnquotePythonString(absl::string_view quoted) {
  if (quoted.size() < 2 || quoted.front() != quoted.back() || (quoted.front() != '\'' && quoted.front() != '"')) {
    return absl::InvalidArgumentError("a string without its quotes");
  }
  const absl::string_view text = quoted.substr(1, quoted.size() - 2);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '\\') {
      out.push_back(text[i]);
      continue;
    }
    if (++i == text.size()) return absl::InvalidArgumentError("a string that ends in a backslash");
    switch (text[i]) {
      case 'x': {
        const int64_t value = HexDigits(text.substr(i + 1), 2);
        if (value < 0) return absl::InvalidArgumentError("\\x without two hexadecimal digits");
        out.push_back(static_cast<char>(value));
        i += 2;
        break;
      }
      case 'n':
        out.push_back('\n');
        break;
      case 'r':
        out.push_back('\r');
        break;
      case 't':
        out.push_back('\t');
        break;
      case '\\':
      case '\'':
      case '"':
        out.push_back(text[i]);
        break;
      default:  // Python's repr writes no others
        return absl::InvalidArgumentError(absl::StrCat("the unknown escape \\", text.substr(i, 1)));
    }
  }
  return out;
}

absl::StatusOr<std::string> DecodeRawUnicodeEscape(absl::string_view escaped) {
  std::string out;
  out.reserve(escaped.size());
  for (size_t i = 0; i < escaped.size(); ++i) {
    // Python's pickler writes a backslash as \u005c, so every backslash begins an escape.
    if (escaped[i] != '\\') {
      AppendUtf8(static_cast<uint8_t>(escaped[i]), &out);
      continue;
    }
    const char kind = i + 1 < escaped.size() ? escaped[i + 1] : '\0';
    const size_t digits = kind == 'u' ? 4 : kind == 'U' ? 8 : 0;
    const int64_t value = digits == 0 ? -1 : HexDigits(escaped.substr(i + 2), digits);
    if (value < 0 || value > 0x10ffff) return absl::InvalidArgumentError("a backslash that begins no \\uXXXX");
    AppendUtf8(value, &out);
    i += 1 + digits;
  }
  return out;
}

absl::StatusOr<std::string> Utf8ToLatin1(absl::string_view utf8) {
  std::string out;
  out.reserve(utf8.size());
  for (size_t i = 0; i < utf8.size(); ++i) {
    const auto byte = static_cast<uint8_t>(utf8[i]);
    if (byte < 0x80) {
      out.push_back(utf8[i]);
    } else if ((byte == 0xc2 || byte == 0xc3) && i + 1 < utf8.size() &&
               (static_cast<uint8_t>(utf8[i + 1]) & 0xc0) == 0x80) {
      out.push_back(static_cast<char>(byte << 6 | (utf8[++i] & 0x3f)));
    } else {
      return absl::InvalidArgumentError("a character that is not in Latin-1");
    }
  }
  return out;
}

}  // namespace arcshard
