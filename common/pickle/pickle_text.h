#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard {

// Decodes the forms in which pickles write texts. A result is at most twice as long as its source. InvalidArgument: the
// text is not of that form. The message lacks its subject: it continues "... has ".

// Python 2's repr of a str with its quotes, as in opcode STRING: 'a\x00\'b'.
absl::StatusOr<std::string> UnquotePythonString(absl::string_view quoted);

// Opcode UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX. The result is UTF-8.
absl::StatusOr<std::string> DecodeRawUnicodeEscape(absl::string_view escaped);

// Converts UTF-8 whose characters are all below U+0100 to one byte for each.
absl::StatusOr<std::string> Utf8ToLatin1(absl::string_view utf8);

}  // namespace arcshard
