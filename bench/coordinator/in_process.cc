#include "bench/coordinator/in_process.h"

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/memory/memory.h"
#include "absl/strings/str_cat.h"
#include "bench/coordinator/log_redirection.h"
#include "bench/measure.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/config/load_config.h"
#include "common/metrics/metric_list.h"
#include "coordinator/run_folder/metrics_log.h"
#include "coordinator/service/reporter.h"
#include "coordinator/service/session.h"

namespace arcshard::bench {
namespace {

using coordinator::Connection;
using Waits = SimulatedMember::Waits;

constexpr absl::Duration kTick = absl::Milliseconds(100);  // as the coordinator's process
constexpr int kWarmUp = 3;

// Stands still until it is moved.
class MovedClock final : public Clock {
 public:
  void Move(absl::Duration by) { now_ += by; }
  MonotonicTime Now() const override { return now_; }
  absl::Time WallTime() const override { return absl::UnixEpoch() + (now_ - MonotonicTime()); }

 private:
  MonotonicTime now_ = MonotonicTime() + absl::Hours(1);
};

// The sending end of a member's stream.
class Inbox final : public coordinator::Session::Stream {
 public:
  explicit Inbox(SimulatedMember* member) : member_(member) {}
  void Send(const std::shared_ptr<const CoordinatorMessage>& message) override { member_->Hear(*message); }
  void Close(const absl::Status&) override {}

 private:
  SimulatedMember* const member_;
};

class InProcessRun {
 public:
  // config: path of the run's configuration.
  static absl::StatusOr<std::unique_ptr<InProcessRun>> Create(const InProcessOptions& options,
                                                              const std::string& config) {
    ASSIGN_OR_RETURN(RunConfig read, LoadRunConfig(config, {}));
    RETURN_IF_ERROR(CreateFolders(read.run.folder));
    return absl::WrapUnique(new InProcessRun(options, std::move(read)));
  }

  absl::StatusOr<InProcessCost> Measure();

 private:
  InProcessRun(const InProcessOptions& options, RunConfig config)
      : options_(options),
        config_(std::move(config)),
        members_(MembersOf(options.size)),
        metrics_(&registry_),
        reporter_(&clock_, &metrics_, options.size.members()),
        session_(OptionsOf(config_), &clock_, {.progress = &reporter_}),
        log_(absl::StrCat(config_.run.folder, "/metrics.jsonl"), &clock_,
             {.config = "run.yaml",
              .version = "simulated",
              .incarnation = 1,
              .shards = options.size.shards,
              .workers = options.size.workers,
              .host = "localhost",
              .pid = ::getpid()},
             nullptr) {}

  static coordinator::Run::Options OptionsOf(const RunConfig& config) {
    return {.config = config, .config_yaml = ToYaml(config), .incarnation = 1, .first_incarnation = 1};
  }

  void Say(size_t member, const ParticipantMessage& message) { session_.Receive(connections_[member], message); }
  void Register();
  absl::Status Join();
  // As CoordinatorProcess::Loop.
  void Look() {
    session_.Tick();
    if (log_.WantsToLook(session_.Overview())) log_.Look(session_.Status());
  }
  // Time passes, without votes: heartbeats and ticks.
  void Pass(double* beats_ms, double* ticks_ms);
  // All vote for the planned step, and hear the decision.
  absl::Status Vote(double* votes_ms, double* last_vote_ms);
  absl::Status Step(std::vector<InProcessCost>* costs);
  void BeatAll(absl::FunctionRef<Waits(const SimulatedMember&)> waits);
  absl::Status Hang(InProcessCost* cost);
  absl::Status End();

  const InProcessOptions options_;
  const RunConfig config_;
  MovedClock clock_;
  std::vector<SimulatedMember> members_;
  std::vector<Connection> connections_;
  size_t next_beat_ = 0;  // the member whose heartbeat is next
  absl::Duration since_tick_;
  MetricRegistry registry_;
  CoordinatorMetrics metrics_;
  coordinator::Reporter reporter_;
  coordinator::Session session_;
  coordinator::MetricsLog log_;
};

void InProcessRun::Register() {
  for (SimulatedMember& member : members_) {
    connections_.push_back(session_.Attach(std::make_shared<Inbox>(&member)));
    session_.Receive(connections_.back(), member.registration());
  }
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i].role() == Role::kWorker) Say(i, SimulatedMember::dataset());
  }
}

absl::Status InProcessRun::Join() {
  for (size_t i = 0; i < members_.size(); ++i) Say(i, members_[i].joined());
  for (const SimulatedMember& member : members_) {
    if (member.planned_step() == 0) return absl::InternalError("the coordinator has not begun the view's first step");
  }
  return absl::OkStatus();
}

void InProcessRun::Pass(double* beats_ms, double* ticks_ms) {
  clock_.Move(options_.step_time);
  const double beats_of_a_member = absl::FDivDuration(options_.step_time, config_.cluster.heartbeat_interval);
  const auto beats = static_cast<size_t>(static_cast<double>(members_.size()) * beats_of_a_member + 0.5);
  std::vector<std::pair<size_t, HeartbeatReport>> said;
  for (size_t i = 0; i < beats; ++i) {
    said.emplace_back(next_beat_, members_[next_beat_].Beat());
    next_beat_ = (next_beat_ + 1) % members_.size();
  }
  *beats_ms = Time(1, [&] {
                for (const auto& [member, beat] : said) Say(member, beat);
              }).cpu_per_thread;
  *ticks_ms = Time(1, [&] {
                for (since_tick_ += options_.step_time; since_tick_ >= kTick; since_tick_ -= kTick) Look();
              }).cpu_per_thread;
}

absl::Status InProcessRun::Vote(double* votes_ms, double* last_vote_ms) {
  const uint64_t step = members_.front().planned_step();
  std::vector<ReadyVote> votes;
  for (const SimulatedMember& member : members_) votes.push_back(member.vote());
  double last_ms = 0.0;
  *votes_ms = Time(1, [&] {
                for (size_t i = 0; i + 1 < members_.size(); ++i) Say(i, votes[i]);
                last_ms = Time(1, [&] { Say(members_.size() - 1, votes.back()); }).wall;
              }).cpu_per_thread;
  *last_vote_ms = last_ms;
  for (const SimulatedMember& member : members_) {
    if (member.planned_step() != step + 1 && !member.stops()) {
      return absl::InternalError(absl::StrCat("a member has not heard the decision about step ", step));
    }
  }
  return absl::OkStatus();
}

absl::Status InProcessRun::Step(std::vector<InProcessCost>* costs) {
  InProcessCost cost;
  Pass(&cost.beats_ms, &cost.ticks_ms);
  RETURN_IF_ERROR(Vote(&cost.votes_ms, &cost.last_vote_ms));
  costs->push_back(cost);
  return absl::OkStatus();
}

void InProcessRun::BeatAll(absl::FunctionRef<Waits(const SimulatedMember&)> waits) {
  const double long_wait = absl::ToDoubleSeconds(config_.cluster.heartbeat_timeout) + 1;
  for (size_t i = 0; i < members_.size(); ++i) Say(i, members_[i].Beat(waits(members_[i]), long_wait));
}

// A worker hangs, then it turns out that workers cannot reach each other.
absl::Status InProcessRun::Hang(InProcessCost* cost) {
  const View before = members_.front().view();
  BeatAll([](const SimulatedMember& member) {
    if (member.role() == Role::kShard) return Waits::kOneWorker;
    return member.id() == 0 ? Waits::kNobody : Waits::kItsOwnRole;
  });
  constexpr int kTicks = 5;
  cost->hang_tick_ms = Time(1,
                            [&] {
                              for (int i = 0; i < kTicks; ++i) session_.Tick();
                            })
                           .cpu_per_thread /
                       kTicks;
  if (members_.front().view() != before) return absl::InternalError("a worker that hangs has caused another view");
  BeatAll([](const SimulatedMember&) { return Waits::kItsOwnRole; });
  absl::Status status;
  cost->new_view_ms = Time(1, [&] {
                        session_.Tick();
                        if (members_.front().view() == before) return;
                        status = Join();
                      }).cpu_per_thread;
  const bool anew = members_.front().view() != before;
  if (options_.size.workers == 1) cost->new_view_ms = 0;  // waits for no other, so that nobody connects anew
  if (!anew && options_.size.workers > 1) return absl::InternalError("who waits in vain does not connect anew");
  return status;
}

absl::Status InProcessRun::End() {
  session_.RequestStop();
  double ignored = 0.0;
  RETURN_IF_ERROR(Vote(&ignored, &ignored));
  for (size_t i = 0; i < members_.size(); ++i) Say(i, FinishedReport());
  return session_.AwaitEnd(absl::ZeroDuration()).value_or(absl::InternalError("the run has not ended"));
}

absl::StatusOr<InProcessCost> InProcessRun::Measure() {
  InProcessCost cost;
  absl::Status joined;
  cost.join_ms = Time(1, [&] {
                   Register();
                   joined = Join();
                 }).cpu_per_thread;
  RETURN_IF_ERROR(joined);
  std::vector<InProcessCost> warm_up, steps;
  for (int i = 0; i < kWarmUp; ++i) RETURN_IF_ERROR(Step(&warm_up));
  for (int i = 0; i < options_.steps; ++i) RETURN_IF_ERROR(Step(&steps));
  std::vector<double> last_vote_ms;
  for (const InProcessCost& step : steps) {
    cost.votes_ms += step.votes_ms / options_.steps;
    cost.beats_ms += step.beats_ms / options_.steps;
    cost.ticks_ms += step.ticks_ms / options_.steps;
    last_vote_ms.push_back(step.last_vote_ms);
  }
  cost.step_ms = cost.votes_ms + cost.beats_ms + cost.ticks_ms;
  cost.last_vote_ms = Median(std::move(last_vote_ms));
  RETURN_IF_ERROR(Hang(&cost));
  RETURN_IF_ERROR(End());
  return cost;
}

}  // namespace

absl::StatusOr<InProcessCost> MeasureInProcess(const InProcessOptions& options) {
  ASSIGN_OR_RETURN(const std::string config, WriteConfig(options.size, options.folder));
  absl::StatusOr<InProcessCost> cost;
  {
    ASSIGN_OR_RETURN(const LogRedirection log, LogRedirection::To(absl::StrCat(options.folder, "/coordinator.log")));
    ASSIGN_OR_RETURN(const std::unique_ptr<InProcessRun> run, InProcessRun::Create(options, config));
    cost = run->Measure();
  }
  std::error_code ignored;
  std::filesystem::remove_all(options.folder, ignored);
  return cost;
}

}  // namespace arcshard::bench
