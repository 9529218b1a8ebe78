#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace arcshard::cli {

// `text` as it stands between tags or in a quoted attribute of HTML and XML. Bytes that are no UTF-8, and characters
// that XML does not allow, become U+FFFD.
std::string Escape(absl::string_view text);

// For people: "0.8123", "1500", "12k", "3.5M"; "-" for what is not finite.
std::string ShortNumber(double value);

// "4.0 MiB", "12.5 GiB"; "-" for 0 and for what is not finite.
std::string ShortBytes(double bytes);

}  // namespace arcshard::cli
