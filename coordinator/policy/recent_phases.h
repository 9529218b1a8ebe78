#pragma once

#include <deque>
#include <vector>

#include "absl/time/time.h"
#include "common/protocol/messages.h"

namespace arcshard::coordinator {

// What a participant's phases took of late, told from sums that only grow. Holds a bounded number of them, however
// often they come.
class RecentPhases {
 public:
  // `phases`: sums since the participant began.
  void Add(absl::Time now, std::vector<PhaseTime> phases);

  // Of about the last 10 s, at least between two reports; since the beginning while there is only one. Phases that did
  // not happen in that time are left out.
  std::vector<PhaseTime> Recent() const;

 private:
  struct Report {
    absl::Time at;
    std::vector<PhaseTime> phases;
  };
  std::deque<Report> reports_;  // a second apart, but for the last
};

}  // namespace arcshard::coordinator
