#include "cli/supervision/supervisor.h"

#include <algorithm>
#include <csignal>
#include <utility>

#include "absl/strings/str_cat.h"
#include "cli/supervision/log_tail.h"

namespace arcshard::cli {
namespace {

constexpr int kStoppedAtOnce = 128 + SIGINT;
constexpr int kOverdue = 1;

}  // namespace

void Supervisor::Add(Role role, uint32_t index, std::unique_ptr<Process> process, const std::string& log) {
  children_.push_back({.role = role, .index = index, .process = std::move(process), .log = log});
}

void Supervisor::Update() {
  for (Child& child : children_) {
    if (child.ended) continue;
    if (const std::optional<ProcessExit> exit = child.process->Poll(); exit.has_value()) NoteEnd(&child, *exit);
  }
  RecallMembers();
  StartThoseDue();
  if (!failing_ && !killed_) {
    const absl::Duration grace = GraceToLeave();
    if (grace == absl::InfiniteDuration()) {
      leaving_since_.reset();
    } else if (!leaving_since_.has_value()) {
      leaving_since_ = clock_->Now();
    }
    kill_at_ = leaving_since_.value_or(clock_->Now()) + grace;
  }
  if (clock_->Now() >= kill_at_) KillAll();
}

MonotonicTime Supervisor::deadline() const {
  MonotonicTime deadline = kill_at_;
  for (const Child& child : children_) deadline = std::min(deadline, child.restart_at.value_or(deadline));
  return deadline;
}

EndedProcess Supervisor::EndOf(const Child& child) const {
  return {.role = child.role,
          .index = child.index,
          .pid = child.process->pid(),
          .exit = child.exit,
          .at = clock_->Now(),
          .killed_by_us = child.killed_by_us,
          .later_life = child.life > 1,
          .last_error = LastErrorOfFile(child.log),
          .log = child.log};
}

void Supervisor::NoteEnd(Child* child, const ProcessExit& exit) {
  child->ended = true;
  child->exit = exit;
  EndedProcess end = EndOf(*child);
  if (child->role == Role::kCoordinator) {
    coordinator_ended_in_order_ = exit.ok();
    if (exit.ok()) PardonLatecomers();
  }
  if (child->killed_by_us) {
    end.survived = child->life > 1 && coordinator_ended_in_order_;
  } else if (!exit.ok() && !failing_) {
    Judge(child, &end);
  }
  ended_.push_back(std::move(end));
}

void Supervisor::Judge(Child* child, EndedProcess* end) {
  const bool can_restart = restart_ != nullptr && !killed_;
  // The coordinator ends in order once the results of all members are durable.
  const bool after_the_end = coordinator_ended_in_order_ && (end->exit.signal != 0 || end->later_life);
  const bool found_no_place = run_ends_ && end->exit.signal == 0 && end->later_life;
  if (can_restart && (after_the_end || found_no_place)) {
    end->survived = true;
    news_.push_back(absl::StrCat(DescribeEnd(*end), "; the run ends without it"));
    return;
  }
  RestartPolicy::Verdict verdict;
  if (can_restart && LostCoordinator(*end)) {
    verdict = policy_.DiedBlameless(child->role, child->index, end->at);
  } else if (can_restart) {
    verdict = policy_.Died(child->role, child->index, end->exit, end->at);
  }
  Follow(verdict, child, end);
}

bool Supervisor::LostCoordinator(const EndedProcess& end) const {
  const auto explains = [&](const EndedProcess& other) {
    return other.role == Role::kCoordinator && other.survived && end.at - other.at <= options_.blame_window;
  };
  return end.role != Role::kCoordinator && std::any_of(ended_.begin(), ended_.end(), explains);
}

void Supervisor::Follow(const RestartPolicy::Verdict& verdict, Child* child, EndedProcess* end) {
  end->remark = verdict.clause;
  if (!verdict.restart_at.has_value()) {
    Fail(*end);
    return;
  }
  end->survived = true;
  news_.push_back(absl::StrCat(DescribeEnd(*end), "; ", verdict.clause));
  ++child->life;
  child->restart_at = verdict.restart_at;
  child->why = absl::StrCat("the last one ", Describe(end->exit));
  if (child->role == Role::kCoordinator) run_ends_ = false;
}

void Supervisor::PardonLatecomers() {
  CancelRestarts();
  for (EndedProcess& end : ended_) {
    if (end.later_life && end.exit.signal == 0) end.survived = true;
  }
  failing_ = std::any_of(ended_.begin(), ended_.end(), FailedByItself);
}

void Supervisor::Fail(const EndedProcess& end) {
  failing_ = true;
  kill_at_ = std::min(kill_at_, clock_->Now() + options_.ending_grace);
  CancelRestarts();
  // A coordinator waits for a member that was killed, and does not know that it will not come back.
  if (restart_ != nullptr && end.exit.signal != 0) Stop();
}

// A life of the coordinator that died while it ended the run may have let some members go, and its next life needs
// them.
void Supervisor::RecallMembers() {
  const Child* const coordinator = Coordinator();
  const bool needs_all = coordinator != nullptr && coordinator->life > 1 && !run_ends_ &&
                         (!coordinator->ended || coordinator->restart_at.has_value());
  if (!needs_all || failing_ || killed_) return;
  for (Child& child : children_) {
    const bool gone = child.ended && child.exit.ok() && !child.restart_at.has_value();
    if (&child == coordinator || !gone || child.recalled_by == coordinator->life) continue;
    child.recalled_by = coordinator->life;
    ++child.life;
    child.restart_at = clock_->Now();
    child.why = "the last one had ended in order, but the run goes on";
    news_.push_back(absl::StrCat(ProgramOf(child.role), " ", child.index,
                                 " had ended in order; it is started again, because the coordinator was"));
  }
}

void Supervisor::StartThoseDue() {
  for (Child& child : children_) {
    if (!child.restart_at.has_value() || clock_->Now() < *child.restart_at) continue;
    child.restart_at.reset();
    absl::StatusOr<std::unique_ptr<Process>> process = restart_(child.role, child.index, child.why);
    if (process.ok()) {
      child.process = *std::move(process);
      child.ended = false;
      ++restarts_;
      continue;
    }
    EndedProcess end = EndOf(child);
    end.pid = 0;  // no process came about
    end.exit = {.code = 1};
    end.last_error = std::string(process.status().message());
    Follow(policy_.DiedBlameless(child.role, child.index, clock_->Now()), &child, &end);
    ended_.push_back(std::move(end));
  }
}

void Supervisor::CancelRestarts() {
  for (Child& child : children_) child.restart_at.reset();
}

const Supervisor::Child* Supervisor::Coordinator() const {
  const auto found = std::find_if(children_.begin(), children_.end(),
                                  [](const Child& child) { return child.role == Role::kCoordinator; });
  return found == children_.end() ? nullptr : &*found;
}

absl::Duration Supervisor::GraceToLeave() const {
  bool coordinator_ended = false, others_ended = true, first_lives_ended = true;
  for (const Child& child : children_) {
    const bool ended = child.ended && !child.restart_at.has_value();
    if (child.role == Role::kCoordinator) {
      coordinator_ended = ended;
    } else {
      others_ended = others_ended && ended;
      first_lives_ended = first_lives_ended && (ended || child.life > 1);
    }
  }
  if (coordinator_ended) return first_lives_ended ? options_.ending_grace : options_.leaving_grace;
  return others_ended && children_.size() > 1 ? options_.tidying_grace : absl::InfiniteDuration();
}

void Supervisor::Stop() {
  for (Child& child : children_) {
    if (child.role == Role::kCoordinator) child.process->Signal(SIGTERM);
  }
}

void Supervisor::StopAtOnce() {
  stopped_at_once_ = !failing_;
  KillAll();
}

void Supervisor::Dismiss() {
  dismissed_ = true;
  KillAll();
}

void Supervisor::KillAll() {
  killed_ = true;
  kill_at_ = MonotonicTime::InfiniteFuture();
  CancelRestarts();
  for (Child& child : children_) {
    // A process that has ended by itself, although we have not noticed it yet, is not killed by us.
    if (child.ended || child.process->Poll().has_value()) continue;
    child.killed_by_us = true;
    child.process->Signal(SIGKILL);
  }
}

bool Supervisor::coordinator_runs() const {
  const Child* const coordinator = Coordinator();
  return coordinator != nullptr && !coordinator->ended;
}

bool Supervisor::all_ended() const {
  return std::all_of(children_.begin(), children_.end(),
                     [](const Child& child) { return child.ended && !child.restart_at.has_value(); });
}

std::vector<RunningProcess> Supervisor::running() const {
  std::vector<RunningProcess> running;
  for (const Child& child : children_) {
    if (!child.ended) running.push_back({child.role, child.index, child.process->pid(), child.log});
  }
  return running;
}

RunEnd Supervisor::End(int64_t blamed) const {
  if (dismissed_) return {};
  if (stopped_at_once_) return {kStoppedAtOnce, "stopped at once"};
  if (const size_t i = ChooseFailure(ended_, blamed, options_.blame_window); i < ended_.size()) {
    return {ExitStatus(ended_[i].exit), DescribeFailure(ended_[i])};
  }
  for (const EndedProcess& process : ended_) {
    if (!process.killed_by_us || process.survived) continue;
    return {kOverdue, absl::StrCat(ProgramOf(process.role), " ", process.index, " (pid ", process.pid,
                                   ") had to be killed; its log is ", process.log)};
  }
  return {};
}

}  // namespace arcshard::cli
