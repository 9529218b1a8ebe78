#pragma once

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

// What arcshard's commands print. Text for people is made printable here (printable_text.h), whoever wrote what stands
// in it; on a terminal whose locale is not UTF-8 it is ASCII.
namespace arcshard::cli {

// To stderr: "arcshard: error: SENTENCE".
void PrintError(absl::string_view sentence);
// To stderr: "arcshard: SENTENCE".
void PrintNote(absl::string_view sentence);

// A text of lines, to stdout; Paint may have coloured it if stdout HasColours. Unavailable: stdout cannot be written
// to.
absl::Status PrintText(absl::string_view text);

// A text for other programs (YAML, JSON), to stdout: as it is, unless stdout is a terminal. The error of PrintText.
absl::Status PrintData(absl::string_view text);

// To stdout as it is, for text with escapes of its own that is printable already, but as ASCII where that is needed.
absl::Status PrintRaw(absl::string_view text);

}  // namespace arcshard::cli
