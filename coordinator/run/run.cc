#include "coordinator/run/run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "coordinator/policy/ranges.h"

namespace arcshard::coordinator {
namespace {

absl::string_view RoleName(Role role) { return role == Role::kShard ? "shard" : "worker"; }

std::string NameOf(const Registration& registration, absl::string_view number) {
  return absl::StrCat(RoleName(registration.role), number, " (pid ", registration.pid, " on ", registration.host, ")");
}

std::string DescribeSets(const std::vector<VerificationReport>& sets) {
  return absl::StrJoin(sets, "; ", [](std::string* out, const VerificationReport& set) {
    absl::StrAppend(out, set.name, ": ", DescribeFolds(set), "; ", DescribeAllPairs(set));
  });
}

}  // namespace

std::string Run::Member::Name() const { return NameOf(registration, absl::StrCat(" ", id)); }

Run::Run(Options options, const Clock* clock, Outbox* outbox, ProgressSink* progress)
    : options_(std::move(options)),
      clock_(clock),
      outbox_(outbox),
      sink_(progress),
      started_(clock->Now()),
      leases_(options_.device_memory),
      last_tick_(started_),
      checkpoints_(CheckpointOptions(options_), options_.keeper, progress) {
  progress_.epochs = options_.config.schedule.epochs;
  if (options_.resume.has_value()) ContinueFrom(options_.resume->manifest);
  ReportProgress();
}

void Run::Receive(Connection from, const ParticipantMessage& message) {
  if (result_.has_value()) {
    outbox_->Close(from, absl::AbortedError(result_->ok() ? "the run has ended" : result_->message()));
    return;
  }
  const auto member = members_.find(from);
  if (member != members_.end()) {
    member->second.last_heard = clock_->Now();
  } else if (!std::holds_alternative<Registration>(message)) {
    Refuse(from, absl::InvalidArgumentError("the first message of a participant must be Register"));
    return;
  }
  const absl::Status status = std::visit([&](const auto& one) { return Handle(from, one); }, message);
  if (!status.ok()) Refuse(from, status);
}

void Run::Refuse(Connection from, const absl::Status& status) {
  outbox_->Close(from, status);
  leases_.Release(from);
  const auto found = members_.find(from);
  if (found == members_.end()) return;
  const absl::Status result =
      WithDetails(Annotate(status, found->second.Name()), {.pid = found->second.registration.pid});
  members_.erase(found);
  Fail(result);
}

// --- Gathering

absl::Status Run::Handle(Connection from, const Registration& registration) {
  if (members_.contains(from)) return absl::FailedPreconditionError("has registered already on this stream");
  RETURN_IF_ERROR(CheckRegistration(registration));
  const absl::Time now = clock_->Now();
  Member member{.registration = registration, .id = Count(registration.role), .registered = now, .last_heard = now};
  member.token = options_.new_token();
  RETURN_IF_ERROR(LeaseDevice(from, &member));
  sink_->Note(absl::StrCat(member.Name(), " has registered, at ", registration.address,
                           member.device.empty() ? "" : absl::StrCat(", and computes on ", member.device)));
  outbox_->Send(from, Welcome{.id = member.id,
                              .config_yaml = options_.config_yaml,
                              .incarnation = options_.incarnation,
                              .heartbeat_interval = options_.config.cluster.heartbeat_interval,
                              .device = member.device,
                              .token = member.token});
  members_.emplace(from, std::move(member));
  if (GatheringNow().complete()) {
    BeginJoining();
  } else {
    ReportProgress();
  }
  return absl::OkStatus();
}

absl::Status Run::CheckRegistration(const Registration& registration) const {
  const std::string name = NameOf(registration, "");
  if (phase_ != Phase::kGathering) {
    return absl::FailedPreconditionError(absl::StrCat("the run has begun; ", name, " comes too late to join it"));
  }
  if (registration.address.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " says no address where it listens"));
  }
  if (registration.last_decided_step != 0) {
    return absl::FailedPreconditionError(absl::StrCat(name, " holds the state of ", ToString(registration.last_view),
                                                      " after step ", registration.last_decided_step,
                                                      ", but this run starts from step 0; start it afresh"));
  }
  const bool shard = registration.role == Role::kShard;
  const uint32_t wanted = shard ? options_.config.cluster.shards : options_.config.cluster.workers;
  if (Count(registration.role) >= wanted) {
    return absl::FailedPreconditionError(absl::StrCat("the run has all its ", wanted, " ", RoleName(registration.role),
                                                      "s (cluster.", RoleName(registration.role), "s); ", name,
                                                      " is one too many"));
  }
  return absl::OkStatus();
}

absl::Status Run::LeaseDevice(Connection from, Member* member) {
  Registration& registration = member->registration;
  if (!registration.device_request.has_value()) return absl::OkStatus();
  if (registration.role != Role::kShard) return absl::InvalidArgumentError("only shards ask for a GPU");
  const std::vector<DeviceMemory> before = leases_.memory();
  ASSIGN_OR_RETURN(const VisibleDevice device, leases_.Lease(from, member->Name(), *registration.device_request));
  if (device.capacity_bytes > 0) registration.capacity_bytes = device.capacity_bytes;
  member->device = device.uuid;
  if (options_.keep_device_memory && leases_.memory() != before) options_.keep_device_memory(leases_.memory());
  return absl::OkStatus();
}

absl::Status Run::Handle(Connection from, const DatasetReport& report) {
  Member& member = members_.at(from);
  if (member.registration.role != Role::kWorker) return absl::InvalidArgumentError("only workers have a data set");
  if (member.data == report) return absl::OkStatus();
  if (member.data.has_value()) return absl::FailedPreconditionError("has reported another data set before");
  for (const auto& [connection, other] : members_) {
    if (other.data.has_value()) {
      RETURN_IF_ERROR(CheckSameData({other.Name(), *other.data}, {member.Name(), report}));
    }
  }
  member.data = report;
  if (GatheringNow().complete()) {
    BeginJoining();
  } else {
    ReportProgress();
  }
  return absl::OkStatus();
}

void Run::BeginJoining() {
  const absl::StatusOr<ViewAnnouncement> announcement = FormView();
  if (!announcement.ok()) {  // nobody's fault alone: everybody gets the code as it is
    End(announcement.status(), announcement.status());
    return;
  }
  phase_ = Phase::kJoining;
  sink_->ViewFormed(*announcement);
  sink_->Note(absl::StrCat(ToString(view_), ": ", announcement->num_classes, " classes over ",
                           announcement->shards.size(), " shards, ", samples_, " samples over ",
                           announcement->workers.size(), " workers, ", plan_->total_steps(), " steps"));
  Announce(*announcement);
  ReportProgress();
}

absl::StatusOr<ViewAnnouncement> Run::FormView() {
  const RunConfig& config = options_.config;
  const DatasetReport& data = *LowestWorker()->data;
  ViewAnnouncement announcement;
  ASSIGN_OR_RETURN(announcement.num_classes, DecideNumClasses(config.head.classes, data.classes));
  ASSIGN_OR_RETURN(plan_, SamplePlanOf(config, data.samples));
  RETURN_IF_ERROR(CheckResumed(data, announcement.num_classes));
  schedule_.emplace(config.schedule, plan_->steps_per_epoch(), plan_->total_steps());
  samples_ = data.samples;
  progress_.steps = plan_->total_steps();

  // Ids count registrations, so members_, ordered by connection, need not be in their order.
  std::vector<uint64_t> capacities(config.cluster.shards);
  announcement.shards.resize(config.cluster.shards);
  announcement.workers.resize(config.cluster.workers);
  for (const auto& [connection, member] : members_) {
    if (member.registration.role == Role::kShard) {
      capacities[member.id] = member.registration.capacity_bytes;
      announcement.shards[member.id] = {.id = member.id, .address = member.registration.address, .range = {}};
    } else {
      announcement.workers[member.id] = {.id = member.id, .rendezvous = member.registration.address};
    }
  }
  ASSIGN_OR_RETURN(const std::vector<ClassRange> ranges,
                   AssignRanges(announcement.num_classes, capacities, FootprintOf(config)));
  for (size_t k = 0; k < ranges.size(); ++k) announcement.shards[k].range = ranges[k];
  for (auto& [connection, member] : members_) {
    if (member.registration.role == Role::kShard) member.range = ranges[member.id];
  }
  num_classes_ = announcement.num_classes;
  view_ = {options_.incarnation, 1};
  announcement.view = view_;
  announcement.last_decided_step = step_;
  if (options_.resume.has_value()) announcement.checkpoint = options_.resume->folder;
  return announcement;
}

absl::Status Run::Handle(Connection from, const JoinedReport& report) {
  RETURN_IF_ERROR(CheckView(report.view, "Joined"));
  members_.at(from).joined = true;
  if (phase_ != Phase::kJoining) return absl::OkStatus();  // a repeat
  const bool all = std::all_of(members_.begin(), members_.end(), [](const auto& entry) { return entry.second.joined; });
  if (all) {
    BeginTraining();
  } else {
    ReportProgress();
  }
  return absl::OkStatus();
}

// --- Training

void Run::BeginTraining() {
  checkpoints_.Start(clock_->Now());
  const Decision decision{
      .view = view_, .step = step_, .outcome = Outcome::kCommit, .lr = 0.0, .next = NextAfter(step_, true)};
  Broadcast(decision);
  Apply(decision.next);
}

absl::Status Run::Handle(Connection from, const ReadyVote& vote) {
  RETURN_IF_ERROR(CheckView(vote.view, "Ready"));
  if (vote.step == step_ && step_ > 0) return absl::OkStatus();  // a repeat: the step was decided by all votes
  if (phase_ != Phase::kTraining || vote.step != step_ + 1) {
    return absl::FailedPreconditionError(absl::StrCat("voted for step ", vote.step, " ", Whereabouts()));
  }
  Member& member = members_.at(from);
  if (member.vote.has_value()) return absl::OkStatus();  // a repeat
  const auto voted =
      std::count_if(members_.begin(), members_.end(), [](const auto& entry) { return entry.second.vote.has_value(); });
  if (voted == 0) first_vote_ = clock_->Now();
  member.vote = vote;
  if (voted + 1 == std::ssize(members_)) Decide();
  return absl::OkStatus();
}

void Run::Decide() {
  std::vector<NamedVote> votes;
  for (auto& [connection, member] : members_) {
    votes.push_back(
        {member.registration.role, member.id, member.Name(), *std::move(member.vote), member.registration.pid});
    member.vote.reset();
  }
  const StepVerdict verdict = DecideStep(std::move(votes));
  ++step_;
  CountDecision(verdict);
  if (const absl::Status status = CheckHealth(verdict); !status.ok()) {
    Fail(status);
    return;
  }
  const Decision decision{
      .view = view_, .step = step_, .outcome = verdict.outcome, .lr = progress_.lr, .next = NextAfter(step_, true)};
  Broadcast(decision);
  Apply(decision.next);
}

void Run::CountDecision(const StepVerdict& verdict) {
  const StepPlan plan = plan_->PlanOf(step_);
  if (plan.first_sample == 0) corrupt_in_epoch_ = 0;
  corrupt_in_epoch_ += verdict.corrupt_records;
  const absl::Time now = clock_->Now();
  throughput_.StepDone(now, plan.batch_size());
  sink_->StepDecided({step_, verdict.outcome, plan.batch_size(), now - first_vote_});
  if (verdict.outcome == Outcome::kSkip) {
    ++skips_in_a_row_;
    ++progress_.skipped;
    sink_->Note(absl::StrCat("step ", step_, " is skipped: ", verdict.reason));
  } else {
    skips_in_a_row_ = 0;
  }
  progress_.step = step_;
  progress_.epoch = plan_->EpochsAfter(step_);
  progress_.loss = verdict.loss;
  progress_.target_cosine = verdict.target_cosine;
  progress_.lr = schedule_->LearningRate(step_);
  progress_.corrupt_records += verdict.corrupt_records;
  progress_.samples_per_second = throughput_.samples_per_second();
  progress_.eta_seconds =
      absl::ToDoubleSeconds(throughput_.step_duration()) * static_cast<double>(plan_->total_steps() - step_);
}

absl::Status Run::CheckHealth(const StepVerdict& verdict) const {
  if (verdict.outcome == Outcome::kSkip && skips_in_a_row_ >= options_.config.run.max_skips) {
    return WithDetails(
        absl::AbortedError(absl::StrCat(skips_in_a_row_, " steps in a row were not finite (run.max_skips), step ",
                                        step_, " because of ", verdict.reason)),
        {.pid = verdict.culprit});
  }
  // Within an epoch every position of the permutation is read once, so this counts records, over all workers.
  const double share = options_.config.data.max_corrupt_share;
  if (static_cast<double>(corrupt_in_epoch_) > share * static_cast<double>(samples_)) {
    return absl::DataLossError(
        absl::StrFormat("%d of data.train's %d records could not be decoded in this epoch, by step %d; "
                        "data.max_corrupt_share allows %g",
                        corrupt_in_epoch_, samples_, step_, share));
  }
  return absl::OkStatus();
}

// What an announced next action makes of the run.
void Run::Apply(const Next& next) {
  if (next.checkpoint) BeginCheckpoint();
  switch (next.action) {
    case NextAction::kStep:
      if (phase_ != Phase::kTraining) throughput_.Resume(clock_->Now());
      phase_ = Phase::kTraining;
      break;
    case NextAction::kEvaluate:
      phase_ = Phase::kEvaluating;
      break;
    case NextAction::kStop:
      phase_ = Phase::kStopping;
      stop_deadline_ = clock_->Now() + options_.stop_timeout;
      break;
  }
  ReportProgress();
}

absl::Status Run::Handle(Connection from, const EvaluationReport& report) {
  RETURN_IF_ERROR(CheckView(report.view, "Evaluated"));
  if (&members_.at(from) != LowestWorker()) {
    return absl::InvalidArgumentError(absl::StrCat("only ", LowestWorker()->Name(), " reports evaluations"));
  }
  if (phase_ != Phase::kEvaluating) {
    return absl::FailedPreconditionError(absl::StrCat("reported an evaluation that is not due, ", Whereabouts()));
  }
  progress_.verification = report.sets;
  progress_.verification_step = step_;
  if (const double mean = MeanAccuracy(report.sets); mean > progress_.best_accuracy) {
    progress_.best_accuracy = mean;
    progress_.best_step = step_;
  }
  sink_->Note(absl::StrCat("verification after step ", step_, ": ", DescribeSets(report.sets)));
  const Proceed proceed{view_, NextAfter(step_, false)};
  Broadcast(proceed);
  Apply(proceed.next);
  return absl::OkStatus();
}

Next Run::NextAfter(uint64_t step, bool may_evaluate) const {
  const bool due = may_evaluate && !options_.config.verification.sets.empty() && plan_->EvaluationDueAfter(step);
  Next next;
  next.action = DecideNext(
      {.step = step, .total_steps = plan_->total_steps(), .stop_requested = stop_requested_, .evaluation_due = due});
  if (next.action == NextAction::kStep) next.plan = plan_->PlanOf(step + 1);
  next.checkpoint =
      checkpoints_.Due(step, step >= plan_->total_steps(), next.action == NextAction::kStop, clock_->Now());
  return next;
}

absl::Status Run::CheckView(const View& view, absl::string_view what) const {
  if (phase_ == Phase::kGathering) {
    return absl::FailedPreconditionError(absl::StrCat("sent ", what, " before there is a view"));
  }
  if (view == view_) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat("sent ", what, " of ", ToString(view), ", but the run is in ", ToString(view_)));
}

}  // namespace arcshard::coordinator
