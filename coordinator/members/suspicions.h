#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "coordinator/policy/decisions.h"

namespace arcshard::coordinator {

// Judges reports of members that cannot reach each other, although all of them are heard here. A report waits for a
// moment: mostly the peer turns out to be dead, and the report is explained. Otherwise all members connect anew, in a
// view with the same members. Only when the same two have been reported kMostReports times within kMemory is one of
// them out, or if a shard cannot read the log of another one, nobody, but the log is given up.
//
//   a worker reports a shard      the shard, if more than half of the workers report it; else the worker
//   the only worker reports it    the shard, if the worker reaches another shard; else the worker
//   a worker reports a worker     the one that is named in more of the reports, of equals the one with the higher
//   number
//
// When a worker has given up because of a shard, the others' reports about workers say nothing new. Where there are
// several workers, the last one that holds the state is never out, whatever is reported.
//
// Not thread-safe.
class Suspicions {
 public:
  static constexpr size_t kMostReports = 3;
  static constexpr absl::Duration kMemory = absl::Minutes(10);

  struct Verdict {
    std::optional<Seat> out = std::nullopt;  // who is out; none: nobody is
    std::string log_problem = {};            // why a shard cannot use another one's log; empty: all can
    std::string sentence;                    // what was reported
  };

  // `grace`: how long a report waits for a death that explains it.
  explicit Suspicions(absl::Duration grace) : grace_(grace) {}

  void Report(const Seat& reporter, const LostPeersReport& report, MonotonicTime now) {
    pending_.push_back({reporter, report, now + grace_});
  }
  // As Report for a member that has long waited for others; nothing is to be waited for here.
  void ReportWaiting(const Seat& reporter, const LostPeersReport& report, MonotonicTime now) {
    pending_.push_back({reporter, report, now});
  }
  // The members connect anew for another reason, which explains what was reported.
  void Explain() { pending_.clear(); }

  // What follows from the reports once the first of them has waited for long enough; none: nothing yet. The members of
  // `view` are those that have reported. last_holder: the worker whose loss would lose the state; none: several hold
  // it.
  std::optional<Verdict> Judge(const ViewAnnouncement& view, const std::optional<Seat>& last_holder, MonotonicTime now);

 private:
  using Pair = std::pair<Seat, Seat>;  // a worker and a shard in this order; else the lower number first
  struct Pending {
    Seat reporter;
    LostPeersReport report;
    MonotonicTime due;
  };

  static Pair PairOf(const Seat& one, const Seat& other);
  static std::set<Pair> PairsOf(const Pending& pending, const ViewAnnouncement& view);
  std::set<Pair> Remember(const ViewAnnouncement& view, MonotonicTime now);
  size_t WorkersThatReported(uint32_t shard) const;
  Seat OutOf(const Pair& pair, const std::set<Pair>& reported, const ViewAnnouncement& view,
             const std::optional<Seat>& last_holder) const;
  void Forget(const Seat& seat);

  const absl::Duration grace_;
  std::vector<Pending> pending_;                        // of the present view
  std::map<Pair, std::vector<MonotonicTime>> history_;  // when they were reported, within kMemory
};

}  // namespace arcshard::coordinator
