#pragma once

#include <deque>
#include <vector>

#include "common/base/monotonic_time.h"
#include "common/protocol/messages.h"

namespace arcshard::coordinator {

// How long a participant's phases took recently, computed from its sums, which only grow. Keeps a bounded number of
// reports, however often they come.
class RecentPhases {
 public:
  // `phases`: the sums since the participant's process began.
  void Add(MonotonicTime now, std::vector<PhaseTime> phases);

  // The phases of about the last 10 s, at least of the time between two reports. While there is only one report, the
  // phases since the process began. Phases that did not happen in that time are left out.
  std::vector<PhaseTime> Recent() const;

 private:
  struct Report {
    MonotonicTime at;
    std::vector<PhaseTime> phases;
  };
  std::deque<Report> reports_;  // at least a second apart, except the last one
};

}  // namespace arcshard::coordinator
