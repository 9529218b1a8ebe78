#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// A process's log on stderr, a line per message: "2026-11-24 07:00:00.123 arcshard-shard 0: joined view 1.1".
// Thread-safe. A line is a single write, so the lines of several processes on one terminal do not mix.
//
// A process whose environment has ARCSHARD_LOG_FILE=path, as `arcshard train` sets it, has that file as its stdout and
// stderr, and keeps it below LogFile::kMostBytes.
namespace arcshard {

inline constexpr absl::string_view kLogFileVariable = "ARCSHARD_LOG_FILE";

// Sets the name that lines begin with: in main ("arcshard-shard"), and again once the process knows its number.
void SetProcessName(absl::string_view name);

void LogInfo(absl::string_view message);

// The same, with "error: " before the message.
void LogError(absl::string_view message);

// Formats a line as it is written, with its '\n'. `message`, which may come from a peer, is made printable
// (printable_text.h).
std::string FormatLogLine(absl::Time time, absl::string_view process, absl::string_view message);

}  // namespace arcshard
