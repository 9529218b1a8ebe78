#include "cli/supervision/supervisor.h"

#include <algorithm>
#include <csignal>
#include <optional>
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
  if (!failing_ && !leaving_) {
    const absl::Duration grace = GraceToLeave();
    leaving_ = grace != absl::InfiniteDuration();
    deadline_ = clock_->Now() + grace;
  }
  if (clock_->Now() >= deadline_) KillAll();
}

void Supervisor::NoteEnd(Child* child, const ProcessExit& exit) {
  child->ended = true;
  ended_.push_back({.role = child->role,
                    .index = child->index,
                    .pid = child->process->pid(),
                    .exit = exit,
                    .at = clock_->Now(),
                    .killed_by_us = child->killed_by_us,
                    .last_error = LastErrorOfFile(child->log),
                    .log = child->log});
  if (child->role == Role::kCoordinator) coordinator_ended_in_order_ = exit.ok();
  if (exit.ok() || child->killed_by_us || failing_) return;
  failing_ = true;
  deadline_ = std::min(deadline_, clock_->Now() + options_.ending_grace);
}

absl::Duration Supervisor::GraceToLeave() const {
  bool coordinator_ended = false, others_ended = true;
  for (const Child& child : children_) {
    if (child.role == Role::kCoordinator) {
      coordinator_ended = child.ended;
    } else {
      others_ended = others_ended && child.ended;
    }
  }
  if (coordinator_ended) return options_.leaving_grace;
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
  deadline_ = MonotonicTime::InfiniteFuture();
  for (Child& child : children_) {
    // A process that has ended by itself, although we have not noticed it yet, is not killed by us.
    if (child.ended || child.process->Poll().has_value()) continue;
    child.killed_by_us = true;
    child.process->Signal(SIGKILL);
  }
}

bool Supervisor::all_ended() const {
  return std::all_of(children_.begin(), children_.end(), [](const Child& child) { return child.ended; });
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
    if (!process.killed_by_us) continue;
    return {kOverdue, absl::StrCat(ProgramOf(process.role), " ", process.index, " (pid ", process.pid,
                                   ") had to be killed; its log is ", process.log)};
  }
  return {};
}

}  // namespace arcshard::cli
