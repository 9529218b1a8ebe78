#pragma once

#include <string>

#include "absl/strings/string_view.h"

// Finds in the log of a process why it ended.
namespace arcshard::cli {

// The last sentence that follows "error: " in a line ("2026-11-24 07:00:00.123 arcshard-shard 0: error: sentence"); if
// there is none, the last line that is not blank; "": the log is blank.
std::string LastError(absl::string_view log);

// The same for the last 64 KiB of a file; "" also if it cannot be read.
std::string LastErrorOfFile(const std::string& path);

}  // namespace arcshard::cli
