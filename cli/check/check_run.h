#pragma once

#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "cli/check/check_options.h"
#include "common/io/file_system.h"

namespace arcshard::cli {

// Computes a run again from its records and prints what was compared, a line each. Returns whether everything is equal.
//
//   1  A head over all classes gets the records. It has to hold what the shards have written into each complete
//      checkpoint.
//   2  The backbone is run again, with the workers and shards that each view had. Labels, embeddings, r and t have to
//   be
//      those of the records, and the state what the workers have written. Only with run.deterministic.
//
// Errors are those of OpenHistory, HeadCheck, Rerun and `print`.
absl::StatusOr<bool> CheckRun(FileSystem* files, const CheckOptions& options,
                              const std::function<absl::Status(absl::string_view line)>& print);

}  // namespace arcshard::cli
