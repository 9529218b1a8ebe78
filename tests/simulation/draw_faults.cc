#include "tests/simulation/draw_faults.h"

#include <random>
#include <string>

#include "absl/strings/str_cat.h"

namespace arcshard::simulation {
namespace {

class Drawer {
 public:
  Drawer(uint64_t seed, uint32_t shards, uint32_t workers) : random_(seed), shards_(shards), workers_(workers) {}

  uint64_t Below(uint64_t limit) { return random_() % limit; }

  absl::Duration Between(absl::Duration least, absl::Duration most) {
    const auto range = static_cast<uint64_t>(absl::ToInt64Microseconds(most - least));
    return least + absl::Microseconds(static_cast<int64_t>(Below(range)));
  }

  std::string Victim() {
    const uint64_t which = Below(shards_ + workers_ + 2);
    if (which < shards_) return absl::StrCat("shard-", which);
    if (which < shards_ + workers_) return absl::StrCat("worker-", which - shards_);
    return "coordinator";
  }

  Fault One(absl::Duration at) {
    Fault fault{.at = at, .victim = Victim()};
    const uint64_t kind = Below(20);
    if (kind < 10) {
      fault.kind = FaultKind::kKill;
      // Most are back within the grace of a lost worker, some are not.
      fault.lasts = Below(8) == 0 ? Between(absl::Seconds(3), absl::Seconds(12))
                                  : Between(absl::Milliseconds(50), absl::Seconds(2));
    } else if (kind < 14) {
      fault.kind = FaultKind::kStop;
      fault.lasts = Between(absl::Milliseconds(200), absl::Seconds(12));
    } else if (kind < 18) {
      fault.kind = FaultKind::kCut;
      do fault.other = Victim();
      while (fault.other == fault.victim);
      fault.lasts = Between(absl::Milliseconds(200), absl::Seconds(20));
    } else if (kind < 19) {
      fault.kind = FaultKind::kSlow;
      fault.lasts = Between(absl::Milliseconds(200), absl::Seconds(5));
    } else {
      fault.kind = FaultKind::kIsolate;
      fault.lasts = Between(absl::Seconds(1), absl::Seconds(12));
    }
    return fault;
  }

 private:
  std::mt19937_64 random_;
  const uint64_t shards_, workers_;
};

}  // namespace

std::vector<Fault> DrawFaults(uint64_t seed, uint32_t shards, uint32_t workers) {
  Drawer drawer(seed * 2 + 1, shards, workers);
  std::vector<Fault> faults;
  const uint64_t count = drawer.Below(8) == 0 ? 0 : 1 + drawer.Below(2);
  for (uint64_t i = 0; i < count; ++i) {
    const bool soon = i > 0 && drawer.Below(3) > 0;
    faults.push_back(drawer.One(soon ? faults.back().at + drawer.Between(absl::ZeroDuration(), absl::Seconds(4))
                                     : drawer.Between(absl::ZeroDuration(), absl::Seconds(12))));
  }
  return faults;
}

}  // namespace arcshard::simulation
