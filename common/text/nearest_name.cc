#include "common/text/nearest_name.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_join.h"

namespace arcshard {
namespace {

constexpr size_t kLongest = 200;  // characters that are compared: the effort is the product of the lengths

absl::string_view Leaf(absl::string_view name) {
  const size_t dot = name.rfind('.');
  return dot == absl::string_view::npos ? name : name.substr(dot + 1);
}

}  // namespace

size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> before_last(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before_last[j - 2] + 1);
    }
    before_last.swap(last);
    last.swap(row);
  }
  return last[b.size()];
}

std::string NearestNames(absl::string_view wrong, const std::vector<std::string>& names) {
  wrong = wrong.substr(0, kLongest);
  size_t smallest = std::numeric_limits<size_t>::max();
  std::vector<absl::string_view> nearest;
  for (const std::string& name : names) {
    // A wrong section costs one edit, however different its name is.
    const size_t distance = std::min(EditDistance(wrong, name), EditDistance(Leaf(wrong), Leaf(name)) + 1);
    if (distance < smallest) nearest.clear();
    if (distance <= smallest) nearest.push_back(name);
    smallest = std::min(smallest, distance);
  }
  return absl::StrJoin(nearest, " or ");
}

}  // namespace arcshard
