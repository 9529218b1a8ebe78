#include "common/io/testing/faulty_file_system.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard {

class FaultyFileSystem::File final : public WritableFile {
 public:
  File(FaultyFileSystem* files, std::string path, std::unique_ptr<WritableFile> file)
      : files_(files), path_(std::move(path)), file_(std::move(file)) {}

  absl::Status Append(absl::Span<const std::byte> data) override {
    bool first_failure = false;
    const absl::Status status = files_->Begin(Call::kAppend, path_, &first_failure);
    if (status.ok()) return file_->Append(data);
    const bool torn = files_->kind_ == FaultKind::kShortWrite || files_->kind_ == FaultKind::kCrash;
    if (first_failure && torn) RETURN_IF_ERROR(file_->Append(data.first(data.size() / 2)));
    return status;
  }
  absl::Status Sync() override {
    RETURN_IF_ERROR(files_->Begin(Call::kSync, path_));
    return file_->Sync();
  }
  absl::Status Close() override {
    RETURN_IF_ERROR(files_->Begin(Call::kOther, path_));
    return file_->Close();
  }

 private:
  FaultyFileSystem* const files_;
  const std::string path_;
  const std::unique_ptr<WritableFile> file_;
};

class FaultyFileSystem::Source final : public ByteSource {
 public:
  Source(FaultyFileSystem* files, std::unique_ptr<ByteSource> source) : files_(files), source_(std::move(source)) {}

  const std::string& path() const override { return source_->path(); }
  uint64_t size() const override { return source_->size(); }
  absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const override {
    RETURN_IF_ERROR(files_->Begin(Call::kOther, source_->path()));
    return source_->ReadAt(offset, out);
  }

 private:
  FaultyFileSystem* const files_;
  const std::unique_ptr<ByteSource> source_;
};

int64_t FaultyFileSystem::calls() const {
  MutexLock lock(&mutex_);
  return calls_;
}

bool FaultyFileSystem::injected() const {
  MutexLock lock(&mutex_);
  return injected_;
}

bool FaultyFileSystem::Suffers(Call call) const {
  switch (kind_) {
    case FaultKind::kNone:
      return false;
    case FaultKind::kShortWrite:
      return call == Call::kAppend;
    case FaultKind::kNoSpace:
      return call != Call::kOther;
    case FaultKind::kSyncFails:
      return call == Call::kSync;
    case FaultKind::kRenameFails:
      return call == Call::kRename;
    case FaultKind::kIoError:
    case FaultKind::kCrash:
      return true;
  }
  return false;
}

absl::Status FaultyFileSystem::Begin(Call call, const std::string& path, bool* first_failure) {
  MutexLock lock(&mutex_);
  const bool now = calls_++ == at_ && Suffers(call);
  if (!now && !(injected_ && kind_ == FaultKind::kCrash)) return absl::OkStatus();
  if (now) injected_ = true;
  if (first_failure != nullptr) *first_failure = now;
  const bool full = kind_ == FaultKind::kShortWrite || kind_ == FaultKind::kNoSpace;
  return ErrnoStatus(full ? ENOSPC : EIO, path, "a fault that the test made");
}

absl::StatusOr<std::unique_ptr<WritableFile>> FaultyFileSystem::Create(const std::string& path) {
  RETURN_IF_ERROR(Begin(Call::kTakesSpace, path));
  ASSIGN_OR_RETURN(std::unique_ptr<WritableFile> file, files_->Create(path));
  return std::make_unique<File>(this, path, std::move(file));
}

absl::StatusOr<std::unique_ptr<ByteSource>> FaultyFileSystem::Open(const std::string& path) {
  RETURN_IF_ERROR(Begin(Call::kOther, path));
  ASSIGN_OR_RETURN(std::unique_ptr<ByteSource> source, files_->Open(path));
  return std::make_unique<Source>(this, std::move(source));
}

absl::Status FaultyFileSystem::Rename(const std::string& from, const std::string& to) {
  RETURN_IF_ERROR(Begin(Call::kRename, from));
  return files_->Rename(from, to);
}

absl::Status FaultyFileSystem::Remove(const std::string& path) {
  RETURN_IF_ERROR(Begin(Call::kOther, path));
  return files_->Remove(path);
}

absl::Status FaultyFileSystem::RemoveFolder(const std::string& path) {
  RETURN_IF_ERROR(Begin(Call::kOther, path));
  return files_->RemoveFolder(path);
}

absl::Status FaultyFileSystem::CreateFolders(const std::string& path) {
  RETURN_IF_ERROR(Begin(Call::kTakesSpace, path));
  return files_->CreateFolders(path);
}

absl::Status FaultyFileSystem::SyncFolder(const std::string& path) {
  RETURN_IF_ERROR(Begin(Call::kSync, path));
  return files_->SyncFolder(path);
}

absl::StatusOr<std::vector<FileSystem::Entry>> FaultyFileSystem::List(const std::string& path) {
  RETURN_IF_ERROR(Begin(Call::kOther, path));
  return files_->List(path);
}

}  // namespace arcshard
