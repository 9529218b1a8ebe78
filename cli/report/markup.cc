#include "cli/report/markup.h"

#include <cmath>
#include <cstddef>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace arcshard::cli {
namespace {

constexpr absl::string_view kReplacement = "\xef\xbf\xbd";

// Number of bytes of the first character of `text`; 0 if it is not UTF-8 or XML does not allow it.
size_t Character(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return first >= 0x20 || first == '\n' || first == '\t' ? (first == 0x7f ? 0 : 1) : 0;
  const size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  uint32_t code = first & (0xff >> (length + 1));
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
    code = (code << 6) | (byte(i) & 0x3f);
  }
  if (length == 2) return code < 0xa0 ? 0 : 2;  // C1 controls
  if (length == 3) return code < 0x800 || (code >= 0xd800 && code < 0xe000) || code >= 0xfffe ? 0 : 3;
  return code < 0x10000 || code > 0x10ffff ? 0 : 4;
}

}  // namespace

std::string Escape(absl::string_view text) {
  std::string escaped;
  escaped.reserve(text.size());
  while (!text.empty()) {
    const size_t length = Character(text);
    switch (length == 1 ? text[0] : '\0') {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        absl::StrAppend(&escaped, length == 0 ? kReplacement : text.substr(0, length));
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return escaped;
}

std::string ShortNumber(double value) {
  if (!std::isfinite(value)) return "-";
  const double size = std::abs(value);
  if (size >= 1e6) return absl::StrFormat("%.4gM", value / 1e6);
  if (size >= 1e4) return absl::StrFormat("%.4gk", value / 1e3);
  return absl::StrFormat("%.4g", value);
}

std::string ShortBytes(double bytes) {
  if (!std::isfinite(bytes) || bytes <= 0) return "-";
  const double mib = bytes / (1 << 20);
  return mib < 10240 ? absl::StrFormat("%.1f MiB", mib) : absl::StrFormat("%.1f GiB", mib / 1024);
}

std::string FixedNumber(double value, int digits) {
  return std::isfinite(value) ? absl::StrFormat("%.*f", digits, value) : "-";
}

std::string UtcTime(absl::Time time) { return absl::FormatTime("%Y-%m-%d %H:%M:%S UTC", time, absl::UTCTimeZone()); }

std::string WholeSecondsOf(absl::Duration duration) {
  return duration < absl::Seconds(1) ? "0s" : absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1)));
}

}  // namespace arcshard::cli
