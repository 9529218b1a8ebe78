#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/protocol/messages.h"
#include "coordinator/members/member.h"

namespace arcshard::coordinator {

enum class LostRole { kShard, kWorker, kCoordinator };

struct LostMember {
  LostRole role = LostRole::kShard;
  std::string name;  // "shard 1 (pid 123 on host)"
  std::string why;   // "at step 17: stream broken"
};

// How a run went on after a loss.
struct RecoverySummary {
  std::vector<LostMember> lost = {};  // empty: only connections were
  uint64_t step = 0;                  // the last decided one when the run went on
  absl::Duration took;                // since the first loss
  uint64_t replayed_steps = 0;        // by the shard that replayed the most
  uint64_t lost_steps = 0;            // by a rollback
  std::string sentence;               // all of this, and who has rebuilt what
};

// What was lost, since when, and how it comes back: from the first loss until all members of a later view go on. Not
// thread-safe.
class Recovery {
 public:
  // `when`: "at step 17".
  void LoseMember(const Member& member, absl::string_view when, absl::string_view why, MonotonicTime now);
  // This coordinator has found members that hold the run's state. `since`: when it began.
  void LoseCoordinator(uint64_t incarnation, MonotonicTime since);
  // All members connect anew because of `why`.
  void LoseConnections(absl::string_view why, MonotonicTime now);
  // The run goes back from step `from` to `to`, the state of `checkpoint` (empty: the first weights), because of `why`.
  // Returns the sentence that says so.
  std::string RollBack(uint64_t from, uint64_t to, absl::string_view checkpoint, absl::string_view why);
  // `name` has come to the view's state, which it did not hold before. Nothing happens if nothing was lost.
  void Joined(absl::string_view name, const JoinedReport& report);

  // Whether anything was lost since the last End.
  bool active() const { return !events_.empty(); }
  // The losses so far, "shard 1 (pid 123 on host) was lost at step 17: stream broken"; empty: there are none.
  std::string Losses() const;

  // All members go on after `step`; a next recovery may begin. Requires: active().
  RecoverySummary End(uint64_t step, MonotonicTime now);

 private:
  void Begin(MonotonicTime since, std::string event);

  MonotonicTime since_;
  std::vector<std::string> events_;  // what was lost, in sentences
  std::vector<std::string> rollbacks_;
  std::vector<std::string> rebuilt_;  // who has rebuilt what
  RecoverySummary summary_;
};

}  // namespace arcshard::coordinator
