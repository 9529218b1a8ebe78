#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace arcshard {

// Insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string alignment).
size_t EditDistance(absl::string_view a, absl::string_view b);

// The names nearest to `wrong`, by the whole name or by what follows the last dot (a right key in a wrong section):
// those of the smallest distance, in the order of `names`, joined by " or ".
std::string NearestNames(absl::string_view wrong, const std::vector<std::string>& names);

}  // namespace arcshard
