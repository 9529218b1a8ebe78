#pragma once

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace arcshard::worker {

// The fields of a list's line: its tabs separate them, or where it has none, its blanks.
std::vector<absl::string_view> FieldsOfLine(absl::string_view line);

// Whether a field is a whole number or a fraction.
bool IsNumberField(absl::string_view field);

// Which other program's list has a line such as this one, and what to do about it, as the end of a message on a line
// that is not "path label" nor a pair; empty: none that is known. `path`: the list's.
std::string ListHint(absl::string_view path, absl::string_view line);

}  // namespace arcshard::worker
