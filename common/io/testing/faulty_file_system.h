#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/io/file_system.h"

namespace arcshard {

enum class FaultKind {
  kNone,
  kShortWrite,  // of an Append half is written, then the disk is full
  kNoSpace,     // nothing of what would take space is done
  kIoError,     // nothing is done; any call
  kSyncFails,   // of a file or a folder
  kRenameFails,
  kCrash,  // the process dies there: of an Append half is done, of other calls, and all later ones, nothing
};

// For tests: another file system of which one call fails. Calls are counted over it and the files that it opened, which
// it outlives. Thread-safe.
class FaultyFileSystem final : public FileSystem {
 public:
  // The call number `at`, from 0, suffers `kind`, if it is one that can.
  FaultyFileSystem(FileSystem* files, FaultKind kind, int64_t at) : files_(files), kind_(kind), at_(at) {}

  int64_t calls() const;
  bool injected() const;  // the fault has happened

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveFolder(const std::string& path) override;
  absl::Status CreateFolders(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;
  absl::StatusOr<std::vector<Entry>> List(const std::string& path) override;

 private:
  enum class Call { kTakesSpace, kAppend, kSync, kRename, kOther };
  class File;
  class Source;

  bool Suffers(Call call) const;
  // Counts the call; an error: that is its result, and it is not to be done. first_failure: the fault is this call's.
  absl::Status Begin(Call call, const std::string& path, bool* first_failure = nullptr);

  FileSystem* const files_;
  const FaultKind kind_;
  const int64_t at_;
  mutable Mutex mutex_;
  int64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool injected_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace arcshard
