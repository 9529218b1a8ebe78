#include "cli/display/console.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <string>

#include "absl/strings/str_cat.h"
#include "cli/display/terminal.h"
#include "common/io/file.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

// Writes past stdio's buffer, which keeps what could not be written and tries again with the next text.
absl::Status Write(int fd, absl::string_view text) {
  std::fflush(nullptr);  // what others have printed comes first
  while (!text.empty()) {
    const ssize_t written = write(fd, text.data(), text.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0)
      return ErrnoStatus(errno, fd == STDOUT_FILENO ? "stdout" : "stderr", "what was printed could not be written");
    text.remove_prefix(static_cast<size_t>(written));
  }
  return absl::OkStatus();
}

absl::Status WriteShown(int fd, absl::string_view text) {
  return ShowsUnicode(fd) ? Write(fd, text) : Write(fd, PlainText(text));
}

// An error that cannot be printed has no other place to go.
void WriteNote(absl::string_view mark, absl::string_view sentence) {
  WriteShown(STDERR_FILENO, absl::StrCat("arcshard: ", mark, PrintableLine(sentence), "\n")).IgnoreError();
}

}  // namespace

void PrintError(absl::string_view sentence) {
  WriteNote(absl::StrCat(Paint(HasColours(STDERR_FILENO), Ink::kBad, "error:"), " "), sentence);
}

void PrintNote(absl::string_view sentence) { WriteNote("", sentence); }

absl::Status PrintText(absl::string_view text) {
  return WriteShown(STDOUT_FILENO, PrintablePainted(HasColours(STDOUT_FILENO), text));
}

absl::Status PrintData(absl::string_view text) {
  return isatty(STDOUT_FILENO) != 0 ? PrintText(text) : Write(STDOUT_FILENO, text);
}

absl::Status PrintRaw(absl::string_view text) { return WriteShown(STDOUT_FILENO, text); }

}  // namespace arcshard::cli
