#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"
#include "common/io/file_system.h"

namespace arcshard {

// For tests: a disk in memory that tracks what was synced, so that a test can cut its power at any moment. After that
// it holds only what POSIX promises: a file's bytes as of its last Sync, a folder's names as of its last SyncFolder.
// Thread-safe.
class MemoryFileSystem final : public FileSystem {
 public:
  MemoryFileSystem();
  MemoryFileSystem(const MemoryFileSystem& other);  // copies unsynced changes too
  MemoryFileSystem& operator=(const MemoryFileSystem&) = delete;
  ~MemoryFileSystem() override;

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override;
  absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) override;
  absl::Status Rename(const std::string& from, const std::string& to) override;
  absl::Status Remove(const std::string& path) override;
  absl::Status RemoveFolder(const std::string& path) override;
  absl::Status CreateFolders(const std::string& path) override;
  absl::Status SyncFolder(const std::string& path) override;
  absl::StatusOr<std::vector<Entry>> List(const std::string& path) override;

  // The chance that an unsynced change survives a power cut: real disks keep some, all or none.
  struct Survival {
    double names = 0.0;  // for each name that was created, renamed or removed in a folder; from 0 to 1
    double bytes = 0.0;  // for each file's bytes
    uint32_t seed = 0;
  };
  // Open files become unusable.
  void CutPower(const Survival& survival);

  // Gets or sets a file's bytes, which SetContents also syncs. Requires that the file exists.
  std::string Contents(const std::string& path) const;
  void SetContents(const std::string& path, absl::string_view contents);

 private:
  struct Node;
  class File;
  class Source;

  // nullptr if the path does not exist.
  std::shared_ptr<Node> Find(absl::string_view path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The folder that contains the last name of `path`, or would contain it, and that name. An error if there is no such
  // folder.
  struct Place {
    std::shared_ptr<Node> folder;
    std::string name;
  };
  absl::StatusOr<Place> FindPlace(const std::string& path, absl::string_view what_failed) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<std::shared_ptr<Node>> FindFolder(const std::string& path, absl::string_view what_failed) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::shared_ptr<Node> root_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard
