#include "common/text/printable_text.h"

#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace arcshard {
namespace {

// A character, or a byte that begins none.
struct Character {
  char32_t code = 0;
  size_t bytes = 1;
  bool valid = false;
};

// The character at the beginning of `text`, which is not empty. Valid: UTF-8 in its shortest form, no surrogate.
Character FirstOf(absl::string_view text) {
  const auto first = static_cast<unsigned char>(text[0]);
  if (first < 0x80) return {first, 1, true};
  const size_t bytes = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < bytes) return {first};
  char32_t code = first & (0x7fu >> bytes);
  for (size_t i = 1; i < bytes; ++i) {
    const auto next = static_cast<unsigned char>(text[i]);
    if ((next & 0xc0) != 0x80) return {first};
    code = code << 6 | (next & 0x3fu);
  }
  constexpr char32_t kLeast[] = {0, 0, 0x80, 0x800, 0x10000};
  const bool surrogate = code >= 0xd800 && code <= 0xdfff;
  if (code < kLeast[bytes] || code > 0x10ffff || surrogate) return {first};
  return {code, bytes, true};
}

bool Controls(char32_t c) {
  const bool control = c < 0x20 || (c >= 0x7f && c <= 0x9f);
  const bool separates_lines = c == 0x2028 || c == 0x2029;
  const bool directs =
      c == 0x061c || c == 0x200e || c == 0x200f || (c >= 0x202a && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
  return control || separates_lines || directs || c == 0xfeff;
}

void AppendCode(const Character& c, std::string* out) {
  const auto code = static_cast<uint32_t>(c.code);
  if (!c.valid || code < 0x80) {
    absl::StrAppendFormat(out, "\\x%02x", code);
  } else if (code < 0x10000) {
    absl::StrAppendFormat(out, "\\u%04x", code);
  } else {
    absl::StrAppendFormat(out, "\\U%08x", code);
  }
}

absl::string_view AsciiOf(char32_t c) {
  switch (c) {
    case U'±':
      return "+-";
    case U'×':
      return "x";
    case U'·':
      return "*";
    case U'…':
      return "...";
    case U'–':
    case U'—':
    case U'−':
    case U'─':
      return "-";
    case U'━':
      return "=";
    case U'╸':
      return ">";
    default:
      return "";
  }
}

std::string Printable(absl::string_view text, bool lines) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const Character c = FirstOf(text);
    if (lines && c.code == '\n') {
      out.push_back('\n');
    } else if (c.valid && c.code < 0x80 && absl::ascii_isspace(static_cast<unsigned char>(text[0]))) {
      out.push_back(' ');
    } else if (!c.valid || Controls(c.code)) {
      AppendCode(c, &out);
    } else {
      absl::StrAppend(&out, text.substr(0, c.bytes));
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

}  // namespace

std::string PrintableLine(absl::string_view text) { return Printable(text, /*lines=*/false); }

std::string PrintableText(absl::string_view text) { return Printable(text, /*lines=*/true); }

std::string PlainText(absl::string_view text) {
  std::string out;
  while (!text.empty()) {
    const Character c = FirstOf(text);
    if (const absl::string_view ascii = AsciiOf(c.code); !ascii.empty() && c.valid) {
      absl::StrAppend(&out, ascii);
    } else if (c.code < 0x80) {
      out.push_back(text[0]);
    } else {
      AppendCode(c, &out);
    }
    text.remove_prefix(c.bytes);
  }
  return out;
}

std::string Shortened(absl::string_view text) {
  constexpr size_t kMost = 120;
  if (text.size() <= kMost) return std::string(text);
  size_t end = kMost;
  while (end > kMost - 4 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;  // within a character
  return absl::StrCat(text.substr(0, end), "…");
}

bool ShowsUnicode(int fd) {
  if (isatty(fd) == 0) return true;
  // The variables and not setlocale: a container may lack the locale's files, and its terminal shows UTF-8
  // nevertheless.
  for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"}) {
    const char* const value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    const std::string locale = absl::AsciiStrToLower(value);
    return absl::StrContains(locale, "utf-8") || absl::StrContains(locale, "utf8");
  }
  return false;
}

}  // namespace arcshard
