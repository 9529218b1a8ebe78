#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/io/file_system.h"
#include "common/io/forwarding_file_system.h"
#include "common/io/safetensors.h"
#include "common/protocol/types.h"

namespace arcshard {

// RUN/incarnation, in which coordinators count their starts in the run's folder, RUN.
std::string IncarnationFileOf(const std::string& run_folder);

// The number of the last start there; 0: there was none. DataLoss: the file does not hold a number that can be
// increased. Other errors are the file system's.
absl::StatusOr<uint64_t> ReadIncarnation(FileSystem* files, const std::string& run_folder);

// Whether the run's folder, RUN, is still that of the view's coordinator. OK also if no coordinator has counted its
// starts there. FailedPrecondition: a later one has it, by RUN/incarnation. Other errors: those of ReadIncarnation.
absl::Status CheckIncarnation(FileSystem* files, const std::string& run_folder, const View& view);

// For safetensors files that every view writes under the same name: they tell of which view they are.
void NoteView(const View& view, SafetensorsMetadata* metadata);

// Whether a file of `view` may replace what is at `path`. FailedPrecondition: that is of a later view.
absl::Status CheckReplaced(FileSystem* files, const std::string& path, const View& view);

// The run's folder for a process that writes there in `view`. A process may be stopped in the middle of writing, and go
// on when the run has long gone on without it. So the last thing before a file appears (AtomicFile's Rename) is to ask
// both of the above, whose errors Rename returns. Thread-safe.
class RunFence final : public ForwardingFileSystem {
 public:
  // `files` outlives it.
  RunFence(FileSystem* files, std::string run_folder, const View& view);

  absl::Status Rename(const std::string& from, const std::string& to) override;

 private:
  FileSystem* const files_;
  const std::string run_folder_;
  const View view_;
};

}  // namespace arcshard
