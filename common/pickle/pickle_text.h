#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace arcshard {

// How pickles write texts. Every result is at most twice as long as what it was made from. InvalidArgument: the text is
// not of that form; the message reads on after "has".

// Python 2's repr of a str, as opcode STRING has it: 'a\x00\'b' with its quotes.
absl::StatusOr<std::string> UnquotePythonString(absl::string_view quoted);

// Opcode UNICODE: Latin-1 with \uXXXX and \UXXXXXXXX. The result is UTF-8.
absl::StatusOr<std::string> DecodeRawUnicodeEscape(absl::string_view escaped);

// UTF-8 in which every character is below U+0100, one byte for each.
absl::StatusOr<std::string> Utf8ToLatin1(absl::string_view utf8);

}  // namespace arcshard
