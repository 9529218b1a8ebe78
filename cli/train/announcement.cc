#include "cli/train/announcement.h"

#include <fcntl.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/strip.h"

namespace arcshard::cli {

absl::StatusOr<FileDescriptor> Announcement::Open() {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus(errno, "a pipe", "cannot create");
  from_ = FileDescriptor(ends[0]);
  unread_ = address_ = "";
  failure_.reset();
  fcntl(from_.get(), F_SETFL, O_NONBLOCK);
  return FileDescriptor(ends[1]);
}

void Announcement::Read() {
  while (from_.valid()) {
    char buffer[256];
    const ssize_t bytes = read(from_.get(), buffer, sizeof(buffer));
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) return;  // no more data at the moment
    if (bytes == 0) from_ = FileDescriptor();
    unread_.append(buffer, static_cast<size_t>(bytes));
    for (size_t end; (end = unread_.find('\n')) != std::string::npos; unread_.erase(0, end + 1)) {
      TakeLine(absl::string_view(unread_).substr(0, end));
    }
  }
}

bool Announcement::AwaitAddress(const Clock& clock, absl::Duration patience) {
  const MonotonicTime deadline = clock.Now() + patience;
  while (address_.empty()) {
    if (fd() < 0 || clock.Now() > deadline) return false;
    pollfd readable = {fd(), POLLIN, 0};
    poll(&readable, 1, 1000);
    Read();
  }
  return true;
}

void Announcement::TakeLine(absl::string_view line) {
  if (absl::ConsumePrefix(&line, "listening ")) address_ = std::string(line);
  if (absl::ConsumePrefix(&line, "failed ")) failure_ = ParseFailureDetails(line);
}

}  // namespace arcshard::cli
