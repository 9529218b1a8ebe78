#include "coordinator/policy/ranges.h"

#include <algorithm>
#include <limits>
#include <string>

#include "absl/numeric/int128.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace arcshard::coordinator {
namespace {

// With these limits num_classes (< 2^63) times a sum of capacities fits 128 bits. No machine has a PiB of memory.
constexpr uint64_t kLargestWeight = uint64_t{1} << 50;
constexpr size_t kMostShards = size_t{1} << 14;

std::string Figure(absl::uint128 bytes) {
  const uint64_t shown = static_cast<uint64_t>(std::min<absl::uint128>(bytes, std::numeric_limits<uint64_t>::max()));
  return absl::StrFormat("%d bytes (%.1f MiB)", shown, static_cast<double>(bytes) / (1 << 20));
}

}  // namespace

absl::StatusOr<std::vector<ClassRange>> AssignRanges(int64_t num_classes, absl::Span<const uint64_t> capacities,
                                                     BytesOfRange bytes_of) {
  if (num_classes < 1) {
    return absl::InvalidArgumentError(
        absl::StrCat("there are ", num_classes, " classes to assign; at least 1 is needed"));
  }
  if (capacities.empty() || capacities.size() > kMostShards) {
    return absl::InvalidArgumentError(
        absl::StrCat("classes can be assigned to 1 to ", kMostShards, " shards, not to ", capacities.size()));
  }
  absl::uint128 total = 0;
  for (const uint64_t capacity : capacities) total += std::min(capacity, kLargestWeight);
  if (total == 0) return absl::ResourceExhaustedError("no shard has any capacity for class centers");

  std::vector<ClassRange> ranges;
  ranges.reserve(capacities.size());
  absl::uint128 before = 0;  // the sum of the capacities so far
  int64_t begin = 0;
  for (size_t k = 0; k < capacities.size(); ++k) {
    before += std::min(capacities[k], kLargestWeight);
    const int64_t end = static_cast<int64_t>(absl::uint128(static_cast<uint64_t>(num_classes)) * before / total);
    ranges.push_back({begin, end});
    const HeadRangeBytes needed = bytes_of(end - begin);
    const absl::uint128 sum = absl::uint128(static_cast<uint64_t>(needed.rows)) + static_cast<uint64_t>(needed.kept);
    if (sum > capacities[k]) {
      return absl::ResourceExhaustedError(absl::StrCat(
          "shard ", k, " would hold classes [", begin, ", ", end, "), which take ", Figure(sum), ": ", needed.rows,
          " bytes of class centers and moments and ", needed.kept, " of kept exponentials; but its capacity is ",
          Figure(capacities[k]),
          "; start more shards, give them more memory, lower head.exp_budget_mb, or hold head.weights or head.moments "
          "in bfloat16"));
    }
    begin = end;
  }
  return ranges;
}

}  // namespace arcshard::coordinator
