#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/io/file.h"

// The log of a process, which holds its lives one after another: how a life begins there, and why it ended.
namespace arcshard::cli {

// Opens the log for a process that is about to start. If the log has lines of an earlier process, a line that says that
// another life begins here is added first, and why: a clause without line breaks; empty: nobody says why. Errors of
// OpenToAppend.
absl::StatusOr<FileDescriptor> OpenLog(const std::string& path, absl::Time now, absl::string_view why = "");

// Of the last life in `log`: the last sentence that follows "error: " in a line ("2026-11-24 07:00:00.123
// arcshard-shard 0: error: sentence"); if there is none, the last line that is not blank; "": there is no such line.
std::string LastError(absl::string_view log);

// The same for the last 64 KiB of a file; "" also if it cannot be read.
std::string LastErrorOfFile(const std::string& path);

}  // namespace arcshard::cli
