#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

// A process's own words on stderr, one whole line each: "2026-11-24 07:00:00.123 arcshard-shard 0: joined view 1.1".
// Thread-safe; a line is one write, so those of several processes on one terminal do not mix.
namespace arcshard {

// What lines begin with: set in main ("arcshard-shard"), and once more when the process has learnt its number.
void SetProcessName(absl::string_view name);

void LogInfo(absl::string_view message);

// The same, with "error: " before the message.
void LogError(absl::string_view message);

// A line as it is written, '\n' included. Control characters in `message`, which may come from a peer, become blanks.
std::string FormatLogLine(absl::Time time, absl::string_view process, absl::string_view message);

}  // namespace arcshard
