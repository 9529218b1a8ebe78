#pragma once

#include <memory>
#include <string>
#include <vector>

#include "common/io/file_system.h"

namespace arcshard {

// Forwards each call to another file system. Subclasses override the calls that should differ.
class ForwardingFileSystem : public FileSystem {
 public:
  // `files` outlives it.
  explicit ForwardingFileSystem(FileSystem* files) : files_(files) {}

  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    return files_->Create(path);
  }
  absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) override { return files_->Open(path); }
  absl::Status Rename(const std::string& from, const std::string& to) override { return files_->Rename(from, to); }
  absl::Status Remove(const std::string& path) override { return files_->Remove(path); }
  absl::Status RemoveFolder(const std::string& path) override { return files_->RemoveFolder(path); }
  absl::Status CreateFolders(const std::string& path) override { return files_->CreateFolders(path); }
  absl::Status SyncFolder(const std::string& path) override { return files_->SyncFolder(path); }
  absl::StatusOr<std::vector<Entry>> List(const std::string& path) override { return files_->List(path); }

 private:
  FileSystem* const files_;
};

}  // namespace arcshard
