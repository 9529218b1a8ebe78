#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace arcshard {

// The number of insertions, deletions, substitutions and swaps of neighbours that turn `a` into `b` (optimal string
// alignment distance).
size_t EditDistance(absl::string_view a, absl::string_view b);

// The names with the smallest distance to `wrong`, in the order of `names`, joined by " or ". Compares the whole names
// and the parts after the last dot, which finds a correct key in a wrong section.
std::string NearestNames(absl::string_view wrong, const std::vector<std::string>& names);

}  // namespace arcshard
