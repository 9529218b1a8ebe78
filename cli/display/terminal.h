#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

// Terminals: their size, colours, and the width of text.
namespace arcshard::cli {

enum class Ink { kStrong, kFaint, kGood, kBusy, kBad };

// Whether `fd` is a terminal that obeys escapes, by which lines are overwritten: TERM names one that is not dumb.
bool ObeysEscapes(int fd);

// The same, and the user has not disabled colours with NO_COLOR (no-color.org).
bool HasColours(int fd);

// The current columns and lines of the terminal `fd`; 80 and 24 if they are not known.
size_t TerminalWidth(int fd);
size_t TerminalHeight(int fd);

// `text` in the colour `ink`; unchanged if `colours` is false or `text` is empty.
std::string Paint(bool colours, Ink ink, absl::string_view text);

// PrintableText and PrintableLine (printable_text.h) of a text that Paint may have coloured, as `colours` says: its
// colours stay, whatever else stands in it.
std::string PrintablePainted(bool colours, absl::string_view text);
std::string PrintablePaintedLine(bool colours, absl::string_view text);

// The number of columns of `text`, which must not contain wide characters or escapes.
size_t Columns(absl::string_view text);

// The first `columns` columns of `text`.
std::string CutTo(absl::string_view text, size_t columns);

// `text` in lines of at most `columns` columns, broken at blanks where there are any. Without a newline at its end.
std::string Wrap(absl::string_view text, size_t columns);

// A progress bar "━━━━━━╸─────" of `columns` columns. share: the part that is done, 0 to 1.
std::string Bar(double share, size_t columns, bool colours);

}  // namespace arcshard::cli
