#include "coordinator/policy/step_ledger.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace arcshard::coordinator {
namespace {

Seat SeatOf(const NamedVote& ballot) { return {ballot.role, ballot.id}; }

bool IsBefore(const NamedVote& ballot, const Seat& seat) { return SeatOf(ballot) < seat; }

}  // namespace

StepLedger::StepLedger(uint64_t step, std::vector<Voter> voters) : step_(step), has_voted_(voters.size()) {
  for (Voter& voter : voters) {
    ballots_.push_back({.role = voter.seat.role, .id = voter.seat.id, .who = std::move(voter.name), .pid = voter.pid});
  }
  std::sort(ballots_.begin(), ballots_.end(),
            [](const NamedVote& a, const NamedVote& b) { return SeatOf(a) < SeatOf(b); });
  assert(!ballots_.empty());
  assert(std::adjacent_find(ballots_.begin(), ballots_.end(), [](const NamedVote& a, const NamedVote& b) {
           return SeatOf(a) == SeatOf(b);
         }) == ballots_.end());
}

void StepLedger::BeginNextStep() {
  ++step_;
  has_voted_.assign(ballots_.size(), false);
  votes_ = 0;
  first_vote_at_.reset();
}

bool StepLedger::Add(Seat seat, const ReadyVote& vote, MonotonicTime now) {
  assert(vote.step == step_);
  const auto ballot = std::lower_bound(ballots_.begin(), ballots_.end(), seat, IsBefore);
  assert(ballot != ballots_.end() && SeatOf(*ballot) == seat);
  const auto place = static_cast<size_t>(ballot - ballots_.begin());
  if (has_voted_[place]) return false;
  has_voted_[place] = true;
  ballot->vote = vote;
  ++votes_;
  if (!first_vote_at_.has_value()) first_vote_at_ = now;
  return true;
}

std::vector<Seat> StepLedger::Missing() const {
  std::vector<Seat> missing;
  for (size_t place = 0; place < ballots_.size(); ++place) {
    if (!has_voted_[place]) missing.push_back(SeatOf(ballots_[place]));
  }
  return missing;
}

StepVerdict StepLedger::Verdict() const {
  assert(complete());
  return DecideStep(ballots_);
}

}  // namespace arcshard::coordinator
