#include "common/io/log_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cassert>
#include <cstdio>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"

namespace arcshard {

LogFile::LogFile(std::string path, std::vector<int> descriptors, off_t most_bytes)
    : path_(std::move(path)), descriptors_(std::move(descriptors)), most_bytes_(most_bytes) {
  assert(!descriptors_.empty());
}

void LogFile::MakeRoom() {
  struct stat open, named;
  if (::fstat(descriptors_.front(), &open) != 0 || !S_ISREG(open.st_mode)) return;
  const bool there = ::lstat(path_.c_str(), &named) == 0;
  const bool same = there && named.st_dev == open.st_dev && named.st_ino == open.st_ino;
  if (same && (open.st_size < most_bytes_ || !PutAside())) return;
  // Only the last folder, logs/: the run's own folder is the coordinator's.
  if (!there) ::mkdir(FolderOf(path_).c_str(), 0777);
  const absl::StatusOr<FileDescriptor> fresh = OpenToAppend(path_);
  if (!fresh.ok()) return;
  for (const int descriptor : descriptors_) ::dup2(fresh->get(), descriptor);
}

bool LogFile::PutAside() const { return ::rename(path_.c_str(), absl::StrCat(path_, ".1").c_str()) == 0; }

}  // namespace arcshard
