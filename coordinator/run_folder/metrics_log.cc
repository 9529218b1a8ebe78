#include "coordinator/run_folder/metrics_log.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "common/metrics/metric_list.h"
#include "nlohmann/json.hpp"

namespace arcshard::coordinator {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kFormat = 1;  // to be increased when a field changes its meaning
constexpr absl::Duration kLeastBetweenSteps = absl::Seconds(1);
constexpr absl::Duration kMostBetweenSteps = absl::Seconds(10);
constexpr int64_t kStepLinesOfARun = 1000;  // about, as long as kMostBetweenSteps does not ask for more

double Seconds(int64_t milliseconds) { return static_cast<double>(milliseconds) / 1000; }

// elapsed: since the `run` line.
Json Line(absl::string_view kind, absl::Time date, absl::Duration elapsed) {
  return {{"kind", std::string(kind)},
          {"time", Seconds(absl::ToUnixMillis(date))},
          {"elapsed_seconds", Seconds(absl::ToInt64Milliseconds(elapsed))}};
}

std::string Text(const Json& line) {
  return line.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";  // host names need not be UTF-8
}

absl::string_view RoleName(Role role) { return role == Role::kShard ? kShardRole : kWorkerRole; }

absl::string_view RoleName(LostRole role) {
  if (role == LostRole::kCoordinator) return kCoordinatorRole;
  return RoleName(role == LostRole::kShard ? Role::kShard : Role::kWorker);
}

Json MemberOf(const MemberStatus& member) {
  const Registration& registration = member.registration;
  Json json = {{"role", std::string(RoleName(registration.role))},
               {"id", member.id},
               {"host", registration.host},
               {"pid", registration.pid},
               {"address", registration.address}};
  if (registration.role == Role::kShard) {
    json["range"] = {member.range.begin, member.range.end};
    json["capacity_bytes"] = registration.capacity_bytes;
  }
  return json;
}

// The seconds that each phase took in a recent step: the mean over the role's members. Verifications are not part of a
// step. `once_a_step`: a phase that each member has once in a step.
Json PhasesOf(const RunStatus& status, Role role, absl::string_view once_a_step) {
  Json phases = Json::object();
  uint64_t steps = 0;
  for (const MemberStatus& member : status.members) {
    if (member.registration.role != role) continue;
    for (const PhaseTime& phase : member.recent) {
      if (phase.name == once_a_step) steps += phase.count;
      if (phase.name == kEvaluation) continue;
      phases[phase.name] = phases.value(phase.name, 0.0) + phase.seconds;
    }
  }
  if (steps == 0) return Json::object();
  for (auto& [name, seconds] : phases.items()) seconds = seconds.get<double>() / static_cast<double>(steps);
  return phases;
}

uint64_t MostResident(const RunStatus& status, Role role) {
  uint64_t most = 0;
  for (const MemberStatus& member : status.members) {
    if (member.registration.role == role) most = std::max(most, member.stats.resident_bytes);
  }
  return most;
}

Json SetOf(const VerificationReport& set) {
  Json rates = Json::array();
  for (const AcceptRate& rate : set.accept_rates) {
    rates.push_back({{"far", rate.far}, {"tar", rate.tar}, {"false_accepts", rate.false_accepts}});
  }
  return {{"name", set.name},
          {"accuracy", set.accuracy},
          {"std", set.std},
          {"threshold", set.threshold},
          {"xnorm", set.xnorm},
          {"pairs", set.pairs},
          {"overall_accuracy", set.overall_accuracy},
          {"overall_threshold", set.overall_threshold},
          {"different_pairs", set.different_pairs},
          {"accept_rates", rates}};
}

}  // namespace

MetricsLog::MetricsLog(std::string path, const Clock* clock, Start start, std::unique_ptr<EventFile> events)
    : lines_(std::move(path), "the run continues, but its report will have gaps"),
      events_(std::move(events)),
      clock_(clock),
      start_(std::move(start)),
      started_(clock->Now()),
      started_at_(clock->WallTime()) {}

bool MetricsLog::WantsToLook(const RunStatus& status) const {
  if (ended_) return false;
  const bool ended = HasEnded(status.progress);
  // Until there is a view, members may come that hold a later state than the checkpoint's.
  if (status.view == View() && !ended) return false;
  return ended || !has_begun_ || view_ != status.view || recoveries_ != status.progress.recoveries ||
         StepIsDue(status.progress) || VerificationIsNew(status.progress);
}

void MetricsLog::Look(const RunStatus& status) {
  if (!WantsToLook(status)) return;
  const Progress& progress = status.progress;
  const bool ended = HasEnded(progress);
  LookAtStart(progress);
  LookAtView(status);
  LookAtRecovery(status);
  LookAtStep(status);
  LookAtVerification(progress);
  if (!ended) return;
  ended_ = true;
  const bool complete = progress.steps > 0 && progress.step == progress.steps;
  Json line = Line("end", clock_->WallTime(), Elapsed());
  line["outcome"] = progress.phase == Phase::kFailed ? "failed" : complete ? "finished" : "stopped";
  line["step"] = progress.step;
  line["steps"] = progress.steps;
  if (progress.phase == Phase::kFailed) line["sentence"] = progress.waiting_for;
  lines_.Append(Text(line));
}

void MetricsLog::LookAtStart(const Progress& progress) {
  if (has_begun_) return;
  has_begun_ = true;
  step_ = progress.resumed_step;
  if (events_ != nullptr) events_->ResumeAfter(progress.resumed_step);
  Json line = Line("run", started_at_, absl::ZeroDuration());
  line.update(Json{{"format", kFormat},
                   {"version", start_.version},
                   {"config", start_.config},
                   {"incarnation", start_.incarnation},
                   {"resumed_step", progress.resumed_step},
                   {"shards", start_.shards},
                   {"workers", start_.workers},
                   {"host", start_.host},
                   {"pid", start_.pid}});
  lines_.Append(Text(line));
}

void MetricsLog::LookAtView(const RunStatus& status) {
  if (status.num_classes == 0 || view_ == status.view || status.members.empty()) return;
  view_ = status.view;
  Json members = Json::array();
  for (const MemberStatus& member : status.members) members.push_back(MemberOf(member));
  Json line = Line("view", clock_->WallTime(), Elapsed());
  line.update(Json{{"view", {status.view.incarnation, status.view.counter}},
                   {"num_classes", status.num_classes},
                   {"steps", status.progress.steps},
                   {"members", members}});
  lines_.Append(Text(line));
}

void MetricsLog::LookAtRecovery(const RunStatus& status) {
  if (recoveries_ == status.progress.recoveries || !status.last_recovery.has_value()) return;
  recoveries_ = status.progress.recoveries;
  const RecoverySummary& recovery = *status.last_recovery;
  Json lost = Json::array();
  for (const LostMember& one : recovery.lost) {
    lost.push_back({{"role", std::string(RoleName(one.role))}, {"name", one.name}, {"why", one.why}});
  }
  const absl::Time date = clock_->WallTime();
  Json line = Line("recovery", date, Elapsed());
  line.update(Json{{"step", recovery.step},
                   {"lost", lost},
                   {"seconds", absl::ToDoubleSeconds(recovery.took)},
                   {"replayed_steps", recovery.replayed_steps},
                   {"lost_steps", recovery.lost_steps},
                   {"sentence", recovery.sentence}});
  lines_.Append(Text(line));
  if (recovery.lost_steps > 0 && events_ != nullptr) {
    events_->AddRollback(Seconds(absl::ToUnixMillis(date)), recovery.step);
  }
}

void MetricsLog::LookAtVerification(const Progress& progress) {
  if (!VerificationIsNew(progress)) return;
  verified_ = true;
  verification_step_ = progress.verification_step;
  Json sets = Json::array();
  for (const VerificationReport& set : progress.verification) sets.push_back(SetOf(set));
  const absl::Time date = clock_->WallTime();
  Json line = Line("verification", date, Elapsed());
  line.update(Json{{"step", progress.verification_step},
                   {"sets", sets},
                   {"best_accuracy", progress.best_accuracy},
                   {"best_step", progress.best_step}});
  lines_.Append(Text(line));
  if (events_ != nullptr) events_->AddVerification(Seconds(absl::ToUnixMillis(date)), progress);
}

bool MetricsLog::VerificationIsNew(const Progress& progress) const {
  return !progress.verification.empty() && (!verified_ || verification_step_ != progress.verification_step);
}

// There is a line about the first step, the last one, and some between.
bool MetricsLog::StepIsDue(const Progress& progress) const {
  if (progress.step == step_) return false;
  const MonotonicTime now = clock_->Now();
  const absl::Duration between = std::clamp((now - started_) / kStepLinesOfARun, kLeastBetweenSteps, kMostBetweenSteps);
  return now - step_written_ >= between || HasEnded(progress) || progress.step == progress.steps;
}

void MetricsLog::LookAtStep(const RunStatus& status) {
  const Progress& progress = status.progress;
  if (!StepIsDue(progress)) return;
  step_ = progress.step;
  step_written_ = clock_->Now();
  const absl::Time date = clock_->WallTime();
  Json line = Line("step", date, Elapsed());
  line.update(Json{{"step", progress.step},
                   {"steps", progress.steps},
                   {"epoch", progress.epoch},
                   {"loss", progress.loss},
                   {"target_cosine", progress.target_cosine},
                   {"lr", progress.lr},
                   {"samples_per_second", progress.samples_per_second},
                   {"eta_seconds", progress.eta_seconds},
                   {"skipped", progress.skipped},
                   {"corrupt_records", progress.corrupt_records}});
  if (!status.members.empty()) {  // after the end there are no members
    line["phases"] = {{"worker", PhasesOf(status, Role::kWorker, kVote)},
                      {"shard", PhasesOf(status, Role::kShard, kBegin)}};
    line["resident_bytes"] = {{"worker", MostResident(status, Role::kWorker)},
                              {"shard", MostResident(status, Role::kShard)}};
  }
  lines_.Append(Text(line));
  if (events_ != nullptr) events_->AddStep(Seconds(absl::ToUnixMillis(date)), progress);
}

}  // namespace arcshard::coordinator
