#include "common/io/line_log.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/io/log.h"

namespace arcshard {
namespace {

bool EndsWithinALine(int fd) {
  const off_t size = lseek(fd, 0, SEEK_END);
  char last = '\n';
  return size > 0 && pread(fd, &last, 1, size - 1) == 1 && last != '\n';
}

}  // namespace

LineLog::LineLog(std::string path, std::string consequence)
    : path_(std::move(path)), consequence_(std::move(consequence)) {}

void LineLog::Append(absl::string_view lines) {
  if (lines.empty()) return;
  if (!file_.valid()) {
    file_ = FileDescriptor(open(path_.c_str(), O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC, 0666));
    if (file_.valid()) torn_ = EndsWithinALine(file_.get());
  }
  if (torn_) {
    repaired_ = absl::StrCat("\n", lines);
    lines = repaired_;
  }
  ssize_t written = -1;
  if (file_.valid()) {
    do {
      written = write(file_.get(), lines.data(), lines.size());
    } while (written < 0 && errno == EINTR);
  }
  if (written == static_cast<ssize_t>(lines.size())) {
    torn_ = false;
    return;
  }
  const int error = written < 0 ? errno : ENOSPC;
  if (written > 0) torn_ = lines[written - 1] != '\n';  // the disk is full: the rest of the line is lost
  if (warned_) return;
  warned_ = true;
  LogError(absl::StrCat(ErrnoStatus(error, path_, "cannot be written").message(), "; ", consequence_));
}

}  // namespace arcshard
