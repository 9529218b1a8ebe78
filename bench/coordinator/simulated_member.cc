#include "bench/coordinator/simulated_member.h"

#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/metrics/process_metrics.h"

namespace arcshard::bench {
namespace {

std::vector<uint32_t> AllOf(uint32_t count) {
  std::vector<uint32_t> ids(count);
  for (uint32_t id = 0; id < count; ++id) ids[id] = id;
  return ids;
}

// The phases that a member reports, as if each step took 100 ms.
std::vector<PhaseTime> PhasesOf(Role role, uint64_t steps) {
  std::vector<PhaseTime> phases;
  const auto add = [&](absl::string_view name, double share) {
    phases.push_back({std::string(name), steps, static_cast<double>(steps) * 0.1 * share});
  };
  if (role == Role::kShard) {
    add(kBegin, 0.01);
    add(kPass1, 0.5);
    add(kPass2, 0.4);
    return phases;
  }
  for (const absl::string_view name :
       {kDataWait, kForward, kWaitForShards, kLossPhase, kBackward, kAllReduce, kVote, kOptimizer, kEvaluation}) {
    add(name, 0.1);
  }
  return phases;
}

}  // namespace

Registration SimulatedMember::registration() const {
  return {.role = role_,
          .address = absl::StrCat("127.0.0.1:", 1024 + number_),
          .host = "simulated.example.org",
          .pid = ::getpid(),
          .capacity_bytes = role_ == Role::kShard ? uint64_t{64} << 30 : 0};
}

void SimulatedMember::Hear(const CoordinatorMessage& message) {
  if (const auto* const decision = std::get_if<Decision>(&message)) {
    FollowNext(decision->next);
  } else if (const auto* const install = std::get_if<Install>(&message)) {
    FollowNext(install->next);
  } else if (const auto* const view = std::get_if<ViewAnnouncement>(&message)) {
    view_ = view->view;
    state_ = view->state;
    shards_ = static_cast<uint32_t>(view->shards.size());
    workers_ = static_cast<uint32_t>(view->workers.size());
    planned_step_ = 0;
  } else if (const auto* const welcome = std::get_if<Welcome>(&message)) {
    id_ = welcome->id;
  }
}

void SimulatedMember::FollowNext(const Next& next) {
  stops_ = next.action == NextAction::kStop;
  planned_step_ = next.action == NextAction::kStep ? next.plan.step : 0;
}

ReadyVote SimulatedMember::vote() const {
  ReadyVote vote{.view = view_, .step = planned_step_};
  if (role_ == Role::kWorker) {
    vote.loss = 12.5;
    vote.target_cosine = 0.25;
  }
  return vote;
}

HeartbeatReport SimulatedMember::Beat(Waits waits, double seconds) {
  ++beats_;
  ParticipantStats stats{.resident_bytes = uint64_t{3} << 30, .phases = PhasesOf(role_, 10 * beats_)};
  if (role_ == Role::kShard) {
    stats.held_bytes = uint64_t{2} << 30;
    stats.log_bytes = 100'000 * beats_;
    stats.replay_seconds = 0.01 * static_cast<double>(beats_);
  }
  const bool is_shard = role_ == Role::kShard;
  Waiting& waiting = stats.waiting;
  waiting.view = view_;
  waiting.seconds = seconds;
  if (waits == Waits::kOneWorker && is_shard) waiting.workers = {0};
  if (waits == Waits::kTheOtherRole)
    (is_shard ? waiting.workers : waiting.shards) = AllOf(is_shard ? workers_ : shards_);
  waiting.all_reduce = waits == Waits::kItsOwnRole && !is_shard;
  waiting.coordinator = waits == Waits::kTheCoordinator || (waits == Waits::kItsOwnRole && is_shard);
  return {stats};
}

HeartbeatReport SimulatedMember::Beat() {
  constexpr Waits kCycle[] = {Waits::kNobody, Waits::kTheOtherRole, Waits::kItsOwnRole};
  return Beat(kCycle[(beats_ + number_) % 3], 0.02);
}

}  // namespace arcshard::bench
