#pragma once

#include <string>

#include "absl/strings/string_view.h"

// Why a process ended, as far as its log tells.
namespace arcshard::cli {

// The last sentence that follows "error: " in a line ("2026-11-24 07:00:00.123 arcshard-shard 0: error: sentence");
// without one the last line that is not blank; "" when there is none.
std::string LastError(absl::string_view log);

// The same of the file's last 64 KiB; "" when it cannot be read.
std::string LastErrorOfFile(const std::string& path);

}  // namespace arcshard::cli
