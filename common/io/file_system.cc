#include "common/io/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard {
namespace {

constexpr size_t kLargestTransfer = size_t{1} << 30;  // Linux transfers at most 2 GiB a call

constexpr off64_t kWriteback = off64_t{8} << 20;

class PosixWritableFile final : public WritableFile {
 public:
  PosixWritableFile(std::string path, FileDescriptor fd) : path_(std::move(path)), fd_(std::move(fd)) {}

  absl::Status Append(absl::Span<const std::byte> data) override {
    for (size_t done = 0; done < data.size();) {
      const ssize_t written = ::write(fd_.get(), data.data() + done, std::min(data.size() - done, kLargestTransfer));
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus(errno, path_, "cannot write");
      done += static_cast<size_t>(written);
    }
    written_ += static_cast<off64_t>(data.size());
    // Makes the disk start writing now instead of in Sync. The result is ignored: Sync reports errors of the disk.
    if (written_ - begun_ >= kWriteback) {
      ::sync_file_range(fd_.get(), begun_, written_ - begun_, SYNC_FILE_RANGE_WRITE);
      begun_ = written_;
    }
    return absl::OkStatus();
  }

  absl::Status Sync() override {
    if (::fsync(fd_.get()) != 0) return ErrnoStatus(errno, path_, "cannot sync to disk");
    return absl::OkStatus();
  }

  absl::Status Close() override {
    if (::close(fd_.Release()) != 0) return ErrnoStatus(errno, path_, "cannot close");
    return absl::OkStatus();
  }

 private:
  const std::string path_;
  FileDescriptor fd_;
  off64_t written_ = 0;
  off64_t begun_ = 0;  // the disk was asked to write up to here
};

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

// Whether `entry` itself is a folder; a link to one is not.
absl::StatusOr<bool> IsFolder(const std::string& folder, const dirent& entry) {
  if (entry.d_type != DT_UNKNOWN) return entry.d_type == DT_DIR;
  const std::string path = absl::StrCat(folder, "/", entry.d_name);
  struct stat info;
  if (::lstat(path.c_str(), &info) == 0) return S_ISDIR(info.st_mode);
  if (errno == ENOENT) return false;  // removed in the meantime
  return ErrnoStatus(errno, path, "cannot tell what it is");
}

class PosixFileSystem final : public FileSystem {
 public:
  absl::StatusOr<std::unique_ptr<WritableFile>> Create(const std::string& path) override {
    FileDescriptor fd = OpenDescriptor(path, O_WRONLY | O_CREAT | O_EXCL, 0666);
    if (!fd.valid()) return ErrnoStatus(errno, path, "cannot create");
    return std::make_unique<PosixWritableFile>(path, std::move(fd));
  }

  absl::StatusOr<std::unique_ptr<ByteSource>> Open(const std::string& path) override {
    ASSIGN_OR_RETURN(ReadableFile file, ReadableFile::Open(path));
    return std::make_unique<ReadableFile>(std::move(file));
  }

  absl::Status Rename(const std::string& from, const std::string& to) override {
    if (::rename(from.c_str(), to.c_str()) != 0) return ErrnoStatus(errno, from, absl::StrCat("cannot rename to ", to));
    return absl::OkStatus();
  }

  absl::Status Remove(const std::string& path) override {
    if (::unlink(path.c_str()) != 0) return ErrnoStatus(errno, path, "cannot remove");
    return absl::OkStatus();
  }

  absl::Status RemoveFolder(const std::string& path) override {
    if (::rmdir(path.c_str()) != 0) return ErrnoStatus(errno, path, "cannot remove the folder");
    return absl::OkStatus();
  }

  absl::Status CreateFolders(const std::string& path) override {
    struct stat info;
    if (::stat(path.c_str(), &info) == 0) {
      if (S_ISDIR(info.st_mode)) return absl::OkStatus();
      return ErrnoStatus(ENOTDIR, path, "cannot create the folder");
    }
    if (errno != ENOENT) return ErrnoStatus(errno, path, "cannot create the folder");
    std::string name = path;
    while (name.size() > 1 && name.back() == '/') name.pop_back();
    if (name.empty()) return ErrnoStatus(ENOENT, path, "cannot create the folder");
    const std::string parent = FolderOf(name);
    RETURN_IF_ERROR(CreateFolders(parent));
    // EEXIST: another process was faster, or a dangling link has this name.
    if (::mkdir(name.c_str(), 0777) != 0 && (errno != EEXIST || ::stat(name.c_str(), &info) != 0)) {
      return ErrnoStatus(errno, path, "cannot create the folder");
    }
    return SyncFolder(parent);
  }

  absl::Status SyncFolder(const std::string& path) override {
    const FileDescriptor fd = OpenDescriptor(path, O_RDONLY | O_DIRECTORY);
    if (!fd.valid()) return ErrnoStatus(errno, path, "cannot open the folder");
    // A file system (network, FUSE) that does not know fsync of a folder makes names durable in other ways.
    const bool synced = ::fsync(fd.get()) == 0 || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS;
    if (!synced) return ErrnoStatus(errno, path, "cannot sync the folder");
    return absl::OkStatus();
  }

  absl::StatusOr<std::vector<Entry>> List(const std::string& path) override {
    const std::unique_ptr<DIR, CloseFolder> folder(::opendir(path.c_str()));
    if (folder == nullptr) return ErrnoStatus(errno, path, "cannot open the folder");
    std::vector<Entry> entries;
    while (true) {
      errno = 0;
      const dirent* entry = ::readdir(folder.get());
      if (entry == nullptr) break;
      const absl::string_view name = entry->d_name;
      if (name == "." || name == "..") continue;
      ASSIGN_OR_RETURN(const bool is_folder, IsFolder(path, *entry));
      entries.push_back({std::string(name), is_folder});
    }
    if (errno != 0) return ErrnoStatus(errno, path, "cannot read the folder");
    std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) { return a.name < b.name; });
    return entries;
  }
};

}  // namespace

FileSystem* RealFileSystem() {
  static PosixFileSystem* const files = new PosixFileSystem;
  return files;
}

}  // namespace arcshard
