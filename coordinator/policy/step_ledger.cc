#include "coordinator/policy/step_ledger.h"

#include <cassert>
#include <utility>

namespace arcshard::coordinator {

StepLedger::StepLedger(uint64_t step, std::vector<Voter> voters) : step_(step) {
  for (Voter& voter : voters) {
    const Seat seat = voter.seat;
    [[maybe_unused]] const bool inserted = ballots_.emplace(seat, Ballot{std::move(voter), std::nullopt}).second;
    assert(inserted);
  }
  assert(!ballots_.empty());
}

bool StepLedger::Add(Seat seat, const ReadyVote& vote, MonotonicTime now) {
  assert(vote.step == step_);
  const auto ballot = ballots_.find(seat);
  assert(ballot != ballots_.end());
  if (ballot->second.vote.has_value()) return false;
  ballot->second.vote = vote;
  ++votes_;
  if (!first_vote_at_.has_value()) first_vote_at_ = now;
  return true;
}

std::vector<Seat> StepLedger::Missing() const {
  std::vector<Seat> missing;
  for (const auto& [seat, ballot] : ballots_) {
    if (!ballot.vote.has_value()) missing.push_back(seat);
  }
  return missing;
}

StepVerdict StepLedger::Verdict() const {
  assert(complete());
  std::vector<NamedVote> votes;
  for (const auto& [seat, ballot] : ballots_) {
    votes.push_back({seat.role, seat.id, ballot.voter.name, *ballot.vote, ballot.voter.pid});
  }
  return DecideStep(std::move(votes));
}

}  // namespace arcshard::coordinator
