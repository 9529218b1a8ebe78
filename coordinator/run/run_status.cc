#include "coordinator/run/run_status.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "coordinator/run/run.h"

// What a run reports about itself.
namespace arcshard::coordinator {
namespace {

constexpr size_t kMostNames = 3;  // in a sentence

ClassRange RangeOf(const Member& member, const FormedView* view) {
  if (view == nullptr || member.registration.role != Role::kShard) return {};
  for (const ShardMember& shard : view->announcement.shards) {
    if (shard.id == member.id) return shard.range;
  }
  return {};
}

// "worker 0 (pid 1020 on h), worker 1 (pid 1021 on h)": the members that are not in `done`; empty if all are.
std::string NamesOfOthers(const std::map<Connection, Member>& members, const std::set<Connection>& done) {
  std::vector<std::string> names;
  for (const auto& [connection, member] : members) {
    if (!done.contains(connection)) names.push_back(member.Name());
  }
  if (names.size() > kMostNames) {
    const size_t more = names.size() - kMostNames;
    names.resize(kMostNames);
    names.push_back(absl::StrCat(more, " more"));
  }
  return absl::StrJoin(names, ", ");
}

}  // namespace

std::string Run::WaitingFor() const {
  if (std::holds_alternative<Gathering>(state_)) return DescribeWaiting(members_.Counts());
  if (const auto* const joining = std::get_if<Joining>(&state_)) {
    return absl::StrCat("waiting for ", NamesOfOthers(members_.all(), joining->joined), " to join");
  }
  if (const auto* const stopping = std::get_if<Stopping>(&state_)) {
    const std::string names = NamesOfOthers(members_.all(), stopping->finished);
    if (!names.empty()) return absl::StrCat("waiting for ", names, " to finish");
    return checkpoints_.in_progress()
               ? absl::StrCat("waiting for the checkpoint of step ", checkpoints_.oldest_in_progress())
               : "";
  }
  const auto* const ended = std::get_if<Ended>(&state_);
  return ended == nullptr ? "" : std::string(ended->result.message());
}

Progress Run::ProgressNow() const {
  const SharedView view = ViewOf(state_);
  Progress progress = progress_;
  progress.phase = PhaseOf(state_);
  progress.waiting_for = WaitingFor();
  progress.step = step_;
  progress.steps = view == nullptr ? 0 : view->plan.total_steps();
  progress.skipped = counters_.skipped;
  progress.corrupt_records = counters_.corrupt_records;
  progress.best_accuracy = counters_.best.accuracy;
  progress.best_step = counters_.best.step;
  progress.checkpoint_step = checkpoints_.newest().has_value() ? checkpoints_.newest()->step : 0;
  progress.checkpoint_failure = checkpoints_.failure();
  if (progress.phase == Phase::kEvaluating || progress.phase == Phase::kJoining) {
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
  if (view == nullptr || step_ > progress.steps || (!evaluating && progress.samples_per_second <= 0.0)) return {};
  absl::Duration left = throughput_.step_duration() * static_cast<double>(progress.steps - step_);
  if (options_.config.verification.sets.empty()) return left;
  const absl::Duration one = verification_times_.Expected(verification_images_, progress.samples_per_second);
  left += one * static_cast<double>(view->plan.EvaluationsAfter(step_));
  if (evaluating) {
    left += verification_times_.Left(clock_->Now(), progress.verified_images, progress.images_to_verify, one);
  }
  return left;
}

RunStatus Run::Status() const {
  const MonotonicTime now = clock_->Now();
  const SharedView view = ViewOf(state_);
  RunStatus status = {
      .progress = ProgressNow(), .began = began_, .run_folder = options_.config.run.folder, .members = {}};
  if (view != nullptr) {
    status.view = view->announcement.view;
    status.num_classes = view->announcement.num_classes;
  }
  if (checkpoints_.newest().has_value() && checkpoints_.newest_at() != MonotonicTime::InfinitePast()) {
    status.checkpoint_age = now - checkpoints_.newest_at();
  }
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
