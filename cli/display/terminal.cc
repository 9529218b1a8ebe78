#include "cli/display/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace arcshard::cli {
namespace {

constexpr size_t kUsualWidth = 80, kUsualHeight = 24;  // of a terminal whose size is not known

bool BeginsCharacter(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) != 0x80; }

absl::string_view CodeOf(Ink ink) {
  switch (ink) {
    case Ink::kStrong:
      return "\x1b[1m";
    case Ink::kFaint:
      return "\x1b[2m";
    case Ink::kGood:
      return "\x1b[32m";
    case Ink::kBusy:
      return "\x1b[36m";
    case Ink::kBad:
      return "\x1b[1;31m";
  }
  return "";
}

std::string Repeat(absl::string_view text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) absl::StrAppend(&repeated, text);
  return repeated;
}

}  // namespace

bool HasColours(int fd) {
  const char* const unwanted = std::getenv("NO_COLOR");
  if (unwanted != nullptr && *unwanted != '\0') return false;
  const char* const terminal = std::getenv("TERM");
  return isatty(fd) != 0 && terminal != nullptr && absl::string_view(terminal) != "dumb";
}

size_t TerminalWidth(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : kUsualWidth;
}

size_t TerminalHeight(int fd) {
  winsize size{};
  return ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_row > 0 ? size.ws_row : kUsualHeight;
}

std::string Paint(bool colours, Ink ink, absl::string_view text) {
  if (!colours || text.empty()) return std::string(text);
  return absl::StrCat(CodeOf(ink), text, "\x1b[0m");
}

size_t Columns(absl::string_view text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), BeginsCharacter));
}

std::string CutTo(absl::string_view text, size_t columns) {
  size_t end = 0;
  for (; end < text.size(); ++end) {
    if (BeginsCharacter(text[end]) && columns-- == 0) break;
  }
  return std::string(text.substr(0, end));
}

std::string Wrap(absl::string_view text, size_t columns) {
  std::string wrapped;
  while (Columns(text) > columns && columns > 0) {
    const std::string line = CutTo(text, columns + 1);  // a blank after the last column is a place to break, too
    const size_t blank = line.rfind(' ');
    const bool breaks = blank != std::string::npos && blank > 0;
    const std::string kept = breaks ? line.substr(0, blank) : CutTo(text, columns);
    absl::StrAppend(&wrapped, kept, "\n");
    text.remove_prefix(kept.size() + (breaks ? 1 : 0));
  }
  return absl::StrCat(wrapped, CutTo(text, columns));
}

std::string Bar(double share, size_t columns, bool colours) {
  const double halves = std::clamp(share, 0.0, 1.0) * 2 * static_cast<double>(columns);
  const size_t done = static_cast<size_t>(std::isfinite(halves) ? halves : 0.0);
  const size_t full = done / 2;
  const bool half = done % 2 == 1;
  return absl::StrCat(Paint(colours, Ink::kBusy, absl::StrCat(Repeat("━", full), half ? "╸" : "")),
                      Paint(colours, Ink::kFaint, Repeat("─", columns - full - (half ? 1 : 0))));
}

}  // namespace arcshard::cli
