#include "coordinator/progress/run_status.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/members/holdings.h"
#include "coordinator/members/quorum.h"
#include "coordinator/run/run.h"

// What a run reports about itself.
namespace arcshard::coordinator {
namespace {

constexpr size_t kMostNames = 3;  // in a sentence

ClassRange RangeOf(const Member& member, const FormedView* view) {
  if (view == nullptr || member.registration.role != Role::kShard) return {};
  const std::vector<ShardMember>& shards = view->announcement.shards;  // a view has all shards of a run
  return member.id < shards.size() ? shards[member.id].range : ClassRange();
}

// "worker 0 (pid 1020 on h), worker 1 (pid 1021 on h)": the members of the view that are not in `done`; empty if all
// are.
std::string NamesOfOthers(const Membership& members, const View& view, const std::set<Connection>& done) {
  std::vector<std::string> names;
  size_t more = 0;
  for (const auto& [connection, member] : members.all()) {
    if (member.view != view || done.contains(connection)) continue;
    if (names.size() < kMostNames) {
      names.push_back(member.Name());
    } else {
      ++more;
    }
  }
  if (more > 0) names.push_back(absl::StrCat(more, " more"));
  return absl::StrJoin(names, ", ");
}

std::string WaitingForCheckpoint(const Checkpoints& checkpoints) {
  return absl::StrCat("waiting for the checkpoint of step ", checkpoints.oldest_in_progress());
}

}  // namespace

std::string Run::WaitingFor() const {
  if (std::holds_alternative<Gathering>(state_)) {
    const std::string waiting = DescribeWaiting(members_.Counts());
    const bool for_checkpoint = waiting.empty() && checkpoints_.MayComplete();
    return for_checkpoint ? WaitingForCheckpoint(checkpoints_) : waiting;
  }
  if (const auto* const joining = std::get_if<Joining>(&state_)) {
    return absl::StrCat("waiting for ", NamesOfOthers(members_, views_.newest(), joining->joined), " to join");
  }
  if (const auto* const stopping = std::get_if<Stopping>(&state_)) {
    const std::string names = NamesOfOthers(members_, views_.newest(), stopping->finished);
    if (!names.empty()) return absl::StrCat("waiting for ", names, " to finish");
    return checkpoints_.in_progress() ? WaitingForCheckpoint(checkpoints_) : "";
  }
  const auto* const ended = std::get_if<Ended>(&state_);
  return ended == nullptr ? "" : std::string(ended->result.message());
}

Progress Run::ProgressNow() const {
  const SharedView view = ViewOf(state_);
  Progress progress = progress_;
  progress.phase = PhaseOf(state_);
  progress.waiting_for = WaitingFor();
  if (progress.phase == Phase::kRecovering && recovery_.active()) progress.losses = recovery_.Losses();
  progress.step = at_.step();
  progress.steps = view == nullptr ? 0 : view->plan.total_steps();
  progress.skipped = at_.counters.skipped;
  progress.corrupt_records = at_.counters.corrupt_records;
  progress.best_accuracy = at_.counters.best.accuracy;
  progress.best_step = at_.counters.best.step;
  progress.checkpoint_step = checkpoints_.base().point.step;
  progress.checkpoint_failure = checkpoints_.failure();
  progress.recoverable = KeepsLogs(options_.config) && AnyShardCanBeRebuilt(members_, views_.newest());
  if (std::holds_alternative<Evaluating>(state_) || std::holds_alternative<Joining>(state_)) {
    for (const auto& [connection, member] : members_.all()) {
      progress.verified_images += std::min(member.stats.verified_images, member.stats.images_to_verify);
      progress.images_to_verify += member.stats.images_to_verify;
    }
  }
  progress.eta_seconds = absl::ToDoubleSeconds(TimeLeft(progress));
  return progress;
}

// For the steps at the rate of the last ones, and the verifications; zero if nothing is known.
absl::Duration Run::TimeLeft(const Progress& progress) const {
  const SharedView view = ViewOf(state_);
  const bool evaluating = progress.phase == Phase::kEvaluating;
  if (view == nullptr || progress.step > progress.steps || (!evaluating && progress.samples_per_second <= 0.0))
    return {};
  absl::Duration left = throughput_.step_duration() * static_cast<double>(progress.steps - progress.step);
  if (options_.config.verification.sets.empty()) return left;
  const absl::Duration one = verification_times_.Expected(verification_images_, progress.samples_per_second);
  left += one * static_cast<double>(view->plan.EvaluationsAfter(progress.step));
  if (evaluating) {
    left += verification_times_.Left(clock_->Now(), progress.verified_images, progress.images_to_verify, one);
  }
  return left;
}

RunStatus Run::Overview() const {
  const MonotonicTime now = clock_->Now();
  const SharedView view = ViewOf(state_);
  RunStatus status = {
      .progress = ProgressNow(), .began = began_, .run_folder = options_.config.run.folder, .members = {}};
  status.last_recovery = last_recovery_;
  if (view != nullptr) {
    status.view = view->announcement.view;
    status.num_classes = view->announcement.num_classes;
    status.ranges = views_.ranges();
  }
  if (checkpoints_.base_at() != MonotonicTime::InfinitePast()) status.checkpoint_age = now - checkpoints_.base_at();
  return status;
}

RunStatus Run::Status() const {
  const MonotonicTime now = clock_->Now();
  const SharedView view = ViewOf(state_);
  RunStatus status = Overview();
  for (const auto& [connection, member] : members_.all()) {
    status.members.push_back({.registration = member.registration,
                              .id = member.id,
                              .attending = now - member.registered,
                              .silent = now - member.last_heard,
                              .range = RangeOf(member, view.get()),
                              .stats = member.stats,
                              .recent = member.recent.Recent()});
  }
  std::sort(status.members.begin(), status.members.end(), [](const MemberStatus& a, const MemberStatus& b) {
    return std::tuple(a.registration.role, a.id) < std::tuple(b.registration.role, b.id);
  });
  return status;
}

}  // namespace arcshard::coordinator
