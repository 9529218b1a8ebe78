#include "cli/display/terminal.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/text/printable_text.h"

namespace arcshard::cli {
namespace {

constexpr absl::string_view kEnd = "\x1b[0m";          // of a colour
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

// The code of Paint with which `text` begins; empty: it begins with none.
absl::string_view CodeAtBegin(absl::string_view text) {
  for (const Ink ink : {Ink::kStrong, Ink::kFaint, Ink::kGood, Ink::kBusy, Ink::kBad}) {
    if (absl::StartsWith(text, CodeOf(ink))) return CodeOf(ink);
  }
  return absl::StartsWith(text, kEnd) ? kEnd : "";
}

// `text` with everything but the codes of Paint made printable.
std::string Printable(bool colours, absl::string_view text, std::string (*printable)(absl::string_view)) {
  if (!colours) return printable(text);
  std::string out;
  for (size_t begin = 0; begin < text.size();) {
    const absl::string_view code = CodeAtBegin(text.substr(begin));
    size_t end = begin + code.size();
    while (code.empty() && end < text.size() && CodeAtBegin(text.substr(end)).empty()) ++end;
    const absl::string_view piece = text.substr(begin, end - begin);
    absl::StrAppend(&out, code.empty() ? printable(piece) : std::string(piece));
    begin = end;
  }
  return out;
}

std::string Repeat(absl::string_view text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) absl::StrAppend(&repeated, text);
  return repeated;
}

}  // namespace

bool ObeysEscapes(int fd) {
  const char* const variable = std::getenv("TERM");
  const absl::string_view terminal = variable == nullptr ? "" : variable;
  return isatty(fd) != 0 && !terminal.empty() && terminal != "dumb" && terminal != "unknown";
}

bool HasColours(int fd) {
  const char* const unwanted = std::getenv("NO_COLOR");
  return (unwanted == nullptr || *unwanted == '\0') && ObeysEscapes(fd);
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
  return absl::StrCat(CodeOf(ink), text, kEnd);
}

std::string PrintablePainted(bool colours, absl::string_view text) { return Printable(colours, text, PrintableText); }

std::string PrintablePaintedLine(bool colours, absl::string_view text) {
  return Printable(colours, text, PrintableLine);
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
