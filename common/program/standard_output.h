#pragma once

#include "absl/status/status.h"

namespace arcshard {

// Writes what is left in stdout's buffer. Not OK: that failed, or an earlier write to stdout did, so that not
// everything that was printed has arrived (a full disk, for example).
absl::Status FlushStandardOutput();

}  // namespace arcshard
