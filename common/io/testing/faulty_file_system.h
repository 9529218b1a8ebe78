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
  kShortWrite,  // an Append writes half of its data, then the disk is full
  kNoSpace,     // a call that takes space fails without effect
  kIoError,     // any call fails without effect
  kSyncFails,   // Sync or SyncFolder fails
  kRenameFails,
  kCrash,  // the process dies: an Append writes half of its data; other calls, and all later ones, have no effect
};

// For tests: forwards to another file system and makes one call fail. Calls to it and to the files that it has opened
// are counted together. It outlives those files. Thread-safe.
class FaultyFileSystem final : public FileSystem {
 public:
  // Call number `at`, counted from 0, suffers the fault `kind` if that fault applies to it.
  FaultyFileSystem(FileSystem* files, FaultKind kind, int64_t at) : files_(files), kind_(kind), at_(at) {}

  int64_t calls() const;
  bool injected() const;  // whether the fault has happened

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
  // Counts the call. An error is the call's result, and the call must have no effect. `first_failure` becomes true if
  // this call is the one that suffers the fault.
  absl::Status Begin(Call call, const std::string& path, bool* first_failure = nullptr);

  FileSystem* const files_;
  const FaultKind kind_;
  const int64_t at_;
  mutable Mutex mutex_;
  int64_t calls_ ABSL_GUARDED_BY(mutex_) = 0;
  bool injected_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace arcshard
