#include "common/io/output_file.h"

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"

namespace arcshard {
namespace fs = std::filesystem;

bool IsSameFile(const std::string& a, const std::string& b) {
  if (a.empty() || b.empty()) return false;
  std::error_code error;
  if (fs::equivalent(a, b, error)) return true;
  // One of them does not exist, or they are different files.
  const fs::path in_a = fs::canonical(FolderOf(a), error);
  if (error) return false;
  const fs::path in_b = fs::canonical(FolderOf(b), error);
  return !error && in_a / fs::path(a).filename() == in_b / fs::path(b).filename();
}

bool IsWithin(const std::string& path, const std::string& folder) {
  std::error_code error;
  fs::path in = fs::absolute(path, error);
  if (!error) in = fs::weakly_canonical(in, error);
  if (path.empty() || error) return false;
  for (; !IsSameFile(in.string(), folder); in = in.parent_path()) {
    if (!in.has_relative_path()) return false;
  }
  return true;
}

absl::Status CheckOutputFile(const std::string& path, bool force, absl::Span<const std::string> inputs) {
  for (const std::string& input : inputs) {
    if (IsSameFile(path, input)) {
      return absl::FailedPreconditionError(absl::StrCat(path, " is read by the same command: it is not replaced"));
    }
  }
  std::error_code error;
  // What a link leads to counts, but a link to nothing is there too: it would be replaced.
  const bool is_there = fs::exists(fs::symlink_status(path, error));
  if (is_there && fs::exists(path, error) && !fs::is_regular_file(path, error)) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " is a folder or a device, where the command writes a file: name a file"));
  }
  if (is_there && !force) {
    return absl::AlreadyExistsError(absl::StrCat(path, " exists already; --force replaces it"));
  }
  const std::string folder = FolderOf(path);
  if (access(folder.c_str(), F_OK) != 0) return ErrnoStatus(errno, path, "cannot be written: its folder is not there");
  if (!fs::is_directory(folder, error)) return ErrnoStatus(ENOTDIR, path, "cannot be written");
  if (access(folder.c_str(), W_OK | X_OK) != 0) {
    return ErrnoStatus(errno, path, "cannot be written: no file can be made in its folder");
  }
  return absl::OkStatus();
}

}  // namespace arcshard
