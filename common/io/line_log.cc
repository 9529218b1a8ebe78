#include "common/io/line_log.h"

#include <unistd.h>

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
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
  absl::Status status = Open();
  if (status.ok()) status = Write(lines);
  if (!status.ok()) Warn(status);
}

absl::Status LineLog::Open() {
  if (file_.valid() && StillNames(path_, file_)) return absl::OkStatus();
  const bool lost = file_.valid();
  // What is written to a deleted file is lost, so a failure here must not be followed by a write to it.
  file_ = FileDescriptor();
  ASSIGN_OR_RETURN(file_, OpenToAppend(path_));
  torn_ = EndsWithinALine(file_.get());
  if (lost) Warn(absl::DataLossError(absl::StrCat(path_, ": was deleted or renamed; a new file has what follows")));
  return absl::OkStatus();
}

absl::Status LineLog::Write(absl::string_view lines) {
  if (torn_) {
    repaired_ = absl::StrCat("\n", lines);
    lines = repaired_;
  }
  ssize_t written;
  do {
    written = write(file_.get(), lines.data(), lines.size());
  } while (written < 0 && errno == EINTR);
  if (written == static_cast<ssize_t>(lines.size())) {
    torn_ = false;
    return absl::OkStatus();
  }
  const int error = written < 0 ? errno : ENOSPC;
  if (written > 0) torn_ = lines[written - 1] != '\n';  // the disk is full: the rest of the line is lost
  return ErrnoStatus(error, path_, "cannot be written");
}

void LineLog::Warn(const absl::Status& status) {
  if (warned_) return;
  warned_ = true;
  LogError(absl::StrCat(status.message(), "; ", consequence_));
}

}  // namespace arcshard
