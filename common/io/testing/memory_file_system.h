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

// For tests: a disk in memory that knows what of it was synced, so that a power cut can be had at any moment. It keeps
// no more than POSIX promises: a file's bytes from their last Sync on, a folder's names from its last SyncFolder on.
// Thread-safe.
class MemoryFileSystem final : public FileSystem {
 public:
  MemoryFileSystem();
  MemoryFileSystem(const MemoryFileSystem& other);  // as it is, what is not synced included
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

  // The chance that a change which was not synced survives a power cut: disks do any of it.
  struct Survival {
    double names = 0.0;  // of each name in a folder: created, renamed or removed; 1: of all, 0: of none
    double bytes = 0.0;  // of each file's bytes
    uint32_t seed = 0;
  };
  // Files that are open are gone.
  void CutPower(const Survival& survival);

  // A file's bytes, as they are and synced. The file must exist.
  std::string Contents(const std::string& path) const;
  void SetContents(const std::string& path, absl::string_view contents);

 private:
  struct Node;
  class File;
  class Source;

  // nullptr: no such path.
  std::shared_ptr<Node> Find(absl::string_view path) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The folder that a last name of `path` is or would be in, and that name. An error: there is none.
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
