#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/monotonic_time.h"
#include "common/protocol/messages.h"
#include "coordinator/policy/decisions.h"

namespace arcshard::coordinator {

// A member who votes for a step.
struct Voter {
  Seat seat;
  std::string name;
  int64_t pid = 0;
};

// The votes for one step. Votes belong to seats, not to connections: a member who replaces another in its seat votes in
// its place. Not thread-safe.
class StepLedger {
 public:
  // Requires: `voters` is not empty and names no seat twice.
  StepLedger(uint64_t step, std::vector<Voter> voters);

  uint64_t step() const { return step_; }
  // From now on the votes for the step after this one are gathered, of the same voters.
  void BeginNextStep();

  // Returns false for a repeat; the first vote of a seat stands.
  // Requires: `vote` is for step(), and `seat` is one of the voters'.
  bool Add(Seat seat, const ReadyVote& vote, MonotonicTime now);

  bool complete() const { return votes_ == ballots_.size(); }
  std::vector<Seat> Missing() const;                                             // who has not voted yet
  std::optional<MonotonicTime> first_vote_at() const { return first_vote_at_; }  // none while nobody has voted

  // Requires: complete().
  StepVerdict Verdict() const;

 private:
  uint64_t step_;
  std::vector<NamedVote> ballots_;  // by seat, of all voters
  std::vector<bool> has_voted_;     // likewise
  size_t votes_ = 0;                // ballots with a vote
  std::optional<MonotonicTime> first_vote_at_;
};

}  // namespace arcshard::coordinator
