#include "coordinator/run/run.h"

#include <cassert>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "coordinator/policy/decisions.h"

// A run from its construction until all members have joined.
namespace arcshard::coordinator {

Run::Run(Options options, const Clock* clock)
    : options_(std::move(options)),
      clock_(clock),
      state_(Gathering{clock->Now() + options_.config.cluster.connect_timeout}),
      members_({.shards = options_.config.cluster.shards,
                .workers = options_.config.cluster.workers,
                .new_token = options_.new_token,
                .lease_history = options_.lease_history}),
      last_tick_(clock->Now()),
      checkpoints_(CheckpointOptions(options_, *clock), &outputs_) {
  progress_.epochs = options_.config.schedule.epochs;
  if (options_.resume.has_value()) ResumeFrom(*options_.resume);
  ReportProgress();
}

std::optional<absl::Status> Run::result() const {
  const auto* const ended = std::get_if<Ended>(&state_);
  return ended == nullptr ? std::nullopt : std::optional(ended->result);
}

void Run::Receive(Connection from, const ParticipantMessage& message) {
  if (const auto* const ended = std::get_if<Ended>(&state_)) {
    Emit(CloseStream{from, ended->Refusal()});
    return;
  }
  if (Member* const member = members_.Find(from); member != nullptr) {
    member->last_heard = clock_->Now();
  } else if (!std::holds_alternative<Registration>(message)) {
    Refuse(from, absl::InvalidArgumentError("the first message of a participant must be Register"));
    return;
  }
  const absl::Status status = std::visit([&](const auto& one) { return Handle(from, one); }, message);
  if (!status.ok()) Refuse(from, status);
}

void Run::Refuse(Connection from, const absl::Status& status) {
  assert(!status.ok());
  Emit(CloseStream{from, status});
  const Member* const member = members_.Find(from);
  if (member == nullptr) return;
  if (gathering()) {
    Leave(from, status.message());
    return;
  }
  const absl::Status result = WithDetails(Annotate(status, member->Name()), {.pid = member->registration.pid});
  members_.Remove(from);
  Fail(result);
}

void Run::Broadcast(const CoordinatorMessage& message) {
  for (const auto& [connection, member] : members_.all()) Emit(SendMessage{connection, message});
}

absl::Status Run::CheckView(const View& view, absl::string_view what) const {
  const SharedView current = ViewOf(state_);
  if (current == nullptr) return absl::FailedPreconditionError(absl::StrCat("sent ", what, " before there is a view"));
  if (view == current->announcement.view) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("sent ", what, " of ", ToString(view), ", but the run is in ",
                                                    ToString(current->announcement.view)));
}

// --- Gathering

absl::Status Run::Handle(Connection from, const Registration& registration) {
  if (members_.Find(from) != nullptr) {
    return absl::FailedPreconditionError("has registered already on this stream");
  }
  if (!std::holds_alternative<Gathering>(state_)) {
    return absl::FailedPreconditionError(
        absl::StrCat("the run has begun; ", NameOf(registration), " comes too late to join it"));
  }
  const LeaseHistory leased_before = members_.lease_history();
  ASSIGN_OR_RETURN(const Member* const member, members_.Admit(from, registration, clock_->Now()));
  if (members_.lease_history() != leased_before) Emit(KeepLeaseHistory{members_.lease_history()});
  Emit(CameOrWent{absl::StrCat(member->Name(), " has registered, at ", registration.address,
                               member->device.empty() ? "" : absl::StrCat(", and computes on ", member->device))});
  Emit(SendMessage{from, Welcome{.id = member->id,
                                 .config_yaml = options_.config_yaml,
                                 .incarnation = options_.incarnation,
                                 .heartbeat_interval = options_.config.cluster.heartbeat_interval,
                                 .device = member->device,
                                 .token = member->token}});
  BeginJoiningIfComplete();
  return absl::OkStatus();
}

absl::Status Run::Handle(Connection from, const DatasetReport& report) {
  Member& member = members_.At(from);
  if (member.registration.role != Role::kWorker) return absl::InvalidArgumentError("only workers have a data set");
  if (member.data == report) return absl::OkStatus();
  RETURN_IF_ERROR(CheckData(report));
  if (member.data.has_value()) return absl::FailedPreconditionError("has reported another data set before");
  for (const auto& [connection, other] : members_.all()) {
    if (other.data.has_value()) {
      RETURN_IF_ERROR(CheckSameData({other.Name(), *other.data}, {member.Name(), report}));
    }
  }
  member.data = report;
  BeginJoiningIfComplete();
  return absl::OkStatus();
}

void Run::BeginJoiningIfComplete() {
  assert(std::holds_alternative<Gathering>(state_));
  if (members_.Counts().complete()) {
    BeginJoining();
  } else {
    ReportProgress();
  }
}

// --- Joining

void Run::BeginJoining() {
  absl::StatusOr<FormedView> formed = FormView(options_.config, InputsOfView());
  if (!formed.ok()) {  // no single member is at fault: all of them get the code as it is
    End(formed.status(), formed.status());
    return;
  }
  const auto view = std::make_shared<const FormedView>(*std::move(formed));
  const ViewAnnouncement& announcement = view->announcement;
  const uint64_t steps = view->plan.total_steps();
  ++views_;
  state_ = Joining{view};
  if (options_.resume.has_value() && step_ == steps) {
    Emit(Note{absl::StrCat("all ", steps, " steps are done: nothing is left to train (a larger schedule.epochs makes ",
                           "the run longer)")});
  }
  Emit(ViewFormed{announcement});
  Emit(Note{absl::StrCat(ToString(announcement.view), ": ", announcement.num_classes, " classes over ",
                         announcement.shards.size(), " shards, ", view->data.samples, " samples over ",
                         announcement.workers.size(), " workers, ", steps, " steps")});
  Announce(announcement);
  ReportProgress();
}

ViewInputs Run::InputsOfView() const {
  ViewInputs inputs;
  inputs.view = {options_.incarnation, views_ + 1};
  for (const auto& [connection, member] : members_.all()) {
    const Registration& registration = member.registration;
    std::vector<ViewMember>& role = registration.role == Role::kShard ? inputs.shards : inputs.workers;
    role.push_back({.id = member.id, .address = registration.address, .capacity_bytes = registration.capacity_bytes});
  }
  const Member* const worker = members_.LowestWorker();
  assert(worker != nullptr && worker->data.has_value());
  inputs.data = *worker->data;
  inputs.last_decided_step = step_;
  inputs.resume = options_.resume;
  return inputs;
}

// Only shards learn the workers' tokens; no worker learns another's.
void Run::Announce(const ViewAnnouncement& announcement) {
  ViewAnnouncement with_tokens = announcement;
  for (const auto& [connection, member] : members_.all()) {
    if (member.registration.role != Role::kWorker) continue;
    for (WorkerMember& worker : with_tokens.workers) {
      if (worker.id == member.id) worker.token = member.token;
    }
  }
  for (const auto& [connection, member] : members_.all()) {
    Emit(SendMessage{connection, member.registration.role == Role::kShard ? with_tokens : announcement});
  }
}

absl::Status Run::Handle(Connection from, const JoinedReport& report) {
  RETURN_IF_ERROR(CheckView(report.view, "Joined"));
  auto* const joining = std::get_if<Joining>(&state_);
  if (joining == nullptr) return absl::OkStatus();  // a repeat
  const bool first = joining->joined.insert(from).second;
  if (first && members_.At(from).registration.role == Role::kWorker) verification_images_ += report.verification_images;
  if (joining->joined.size() == members_.all().size()) {
    const SharedView view = joining->view;
    BeginTraining(view);
  } else {
    ReportProgress();
  }
  return absl::OkStatus();
}

}  // namespace arcshard::coordinator
