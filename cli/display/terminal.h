#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"

// How things look where a person reads them.
namespace arcshard::cli {

enum class Ink { kStrong, kFaint, kGood, kBusy, kBad };

// Whether `fd` is a terminal that shows colours, and the reader wants them: neither NO_COLOR (no-color.org) nor
// TERM=dumb is set.
bool HasColours(int fd);

// Columns and lines of the terminal `fd` now; 80 and 24 if it does not tell.
size_t TerminalWidth(int fd);
size_t TerminalHeight(int fd);

// `text` in that ink; as it is where there are no colours, or nothing to paint.
std::string Paint(bool colours, Ink ink, absl::string_view text);

// Columns that `text` takes: its characters, of which none is wide or an escape.
size_t Columns(absl::string_view text);

// The first `columns` columns of `text`.
std::string CutTo(absl::string_view text, size_t columns);

// "━━━━━━╸─────" of `columns` columns, of which `share` (0 to 1) are done.
std::string Bar(double share, size_t columns, bool colours);

}  // namespace arcshard::cli
