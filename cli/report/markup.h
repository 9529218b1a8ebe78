#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace arcshard::cli {

// Escapes `text` for use between tags or in a quoted attribute, in HTML and XML. Bytes that are not UTF-8, and
// characters that XML does not allow, become U+FFFD.
std::string Escape(absl::string_view text);

// "0.8123", "1500", "12k", "3.5M"; "-" if `value` is not finite.
std::string ShortNumber(double value);

// "4.0 MiB", "12.5 GiB"; "-" if `bytes` is 0 or not finite.
std::string ShortBytes(double bytes);

// "0.81" with two digits after the point; "-" if `value` is not finite.
std::string FixedNumber(double value, int digits);

// "2026-11-24 07:00:00 UTC".
std::string UtcTime(absl::Time time);

// "1h2m3s", "0s": without fractions of a second.
std::string WholeSecondsOf(absl::Duration duration);

}  // namespace arcshard::cli
