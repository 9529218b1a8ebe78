#pragma once

#include <string>

#include "absl/strings/string_view.h"

// Text for people's terminals and logs. It may contain what others have written: names of files, keys, hosts, a peer's
// sentences. Whatever prints such text, or logs it, does it through these functions, so that no caller has to.
namespace arcshard {

// `text` as one line that cannot move the cursor, change colours, forge a line or reorder its words: white space other
// than blanks becomes blanks; control characters (C0, DEL, C1), line separators, the controls of writing direction and
// bytes that are no UTF-8 become their codes, "\x1b" and "\u202e".
std::string PrintableLine(absl::string_view text);

// The same for a text of several lines, each of which ends with '\n'.
std::string PrintableText(absl::string_view text);

// `text`, which is printable, in ASCII: characters that arcshard's own texts use are written as ASCII has them, "+-"
// for a plus-minus sign; others become their codes, "\u4e2d".
std::string PlainText(absl::string_view text);

// `text` for a sentence that quotes it: if it is long, only its beginning and "…".
std::string Shortened(absl::string_view text);

// Whether what is written to `fd` may have other characters than ASCII: always, unless it is a terminal and the locale
// (LC_ALL, LC_CTYPE, LANG) does not name UTF-8.
bool ShowsUnicode(int fd);

}  // namespace arcshard
