#include "worker/worker_protocol.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/failure_details.h"

namespace arcshard::worker {
namespace {

using worker_states::AwaitingDecision, worker_states::AwaitingEnd, worker_states::AwaitingInstall;
using worker_states::AwaitingProceed, worker_states::AwaitingView, worker_states::AwaitingWelcome;
using worker_states::Computing, worker_states::Ended, worker_states::Evaluating, worker_states::Failing;
using worker_states::Finishing, worker_states::Joining, worker_states::OpeningData, worker_states::Seat;

// Who sends the state of the view to its other workers. Those who lack the base restore that instead.
std::optional<size_t> SenderIn(const ViewAnnouncement& view) {
  if (view.state == view.base) return std::nullopt;
  const auto holds = [](const WorkerMember& worker) { return worker.holds; };
  if (std::all_of(view.workers.begin(), view.workers.end(), holds)) return std::nullopt;
  return std::find_if(view.workers.begin(), view.workers.end(), holds) - view.workers.begin();
}

}  // namespace

// Requires that the state is `Expected`; returns its data, since the next state often needs it.
template <typename Expected>
Expected WorkerProtocol::TakeState() {
  assert(std::holds_alternative<Expected>(state_) && running_);
  running_ = false;
  return std::get<Expected>(std::move(state_));
}

// Constructed in place: GCC 12 warns of moved temporaries of large variants.
template <typename Message>
void WorkerProtocol::Send(Message message) {
  messages_.emplace_back(std::in_place_type<Message>, std::move(message));
}

template <typename Kind>
void WorkerProtocol::Plan(Kind work) {
  work_.emplace_back(std::in_place_type<Kind>, std::move(work));
}

void WorkerProtocol::OnWelcome(const Welcome& welcome, MonotonicTime) {
  assert(idle());
  if (over()) return;
  if (dataset_.has_value() && welcome.config_yaml != welcome_->config_yaml) {
    // Nobody else has to end for this: whatever restarts this process makes a worker that has the new configuration.
    state_ = Ended{absl::FailedPreconditionError(
        "the coordinator has come back with another configuration; start this worker again")};
    return;
  }
  welcome_ = welcome;
  if (dataset_.has_value()) {
    state_ = AwaitingView{};
    return Send(*dataset_);
  }
  state_ = OpeningData{};
  Plan(OpenData{welcome});
}

void WorkerProtocol::OnDataOpened(const DatasetReport& dataset) {
  TakeState<OpeningData>();
  state_ = AwaitingView{};
  dataset_ = dataset;
  Send(dataset);
}

void WorkerProtocol::OnView(const ViewAnnouncement& view, MonotonicTime now) {
  assert(idle());
  if (over()) return;
  if (std::holds_alternative<AwaitingWelcome>(state_)) return Refuse(ToString(view.view), now);
  const auto self = std::find_if(view.workers.begin(), view.workers.end(),
                                 [this](const WorkerMember& worker) { return worker.id == welcome_->id; });
  if (self == view.workers.end()) {
    return Fail(absl::FailedPreconditionError(absl::StrCat(ToString(view.view), " is without this worker")), now);
  }
  const Seat seat{view.view, static_cast<size_t>(self - view.workers.begin())};
  const absl::StatusOr<HeldPoint::Entry> entry = held_.Enter(view, seat.position);
  if (!entry.ok()) return Fail(entry.status(), now);
  if (entry->apply.has_value()) Plan(ApplyDecision{*entry->apply});
  state_ = Joining{seat};
  Plan(JoinView{view, seat.position, entry->source, SenderIn(view)});
}

void WorkerProtocol::OnRestored() {
  assert(std::holds_alternative<Joining>(state_) && running_);
  held_.Restored();
}

void WorkerProtocol::OnJoined(uint64_t verification_images, double seconds) {
  const Joining joined = TakeState<Joining>();
  held_.Restored();
  state_ = AwaitingInstall{joined.seat};
  Send(JoinedReport{.view = joined.seat.view,
                    .verification_images = verification_images,
                    .state = *held_.point(),
                    .rebuilt_in_seconds = seconds});
}

// It may have left the view because it lost a peer, which the coordinator did not know yet.
bool WorkerProtocol::Left(const View& view) const {
  return view < held_.view() || (view == held_.view() && std::holds_alternative<AwaitingView>(state_));
}

void WorkerProtocol::OnInstall(const Install& install, MonotonicTime now) {
  assert(idle());
  if (over() || Left(install.view)) return;
  const auto* const awaiting = std::get_if<AwaitingInstall>(&state_);
  if (awaiting == nullptr || awaiting->seat.view != install.view) {
    return Refuse(absl::StrCat("the Install of ", ToString(install.view)), now);
  }
  held_.Count(install.counters);
  const Seat seat = awaiting->seat;
  Follow(install.next, seat, now);
}

void WorkerProtocol::OnDecision(const Decision& decision, MonotonicTime now) {
  assert(idle());
  if (over() || Left(decision.view)) return;
  const auto* const awaiting = std::get_if<AwaitingDecision>(&state_);
  if (awaiting == nullptr || awaiting->step != decision.step || awaiting->seat.view != decision.view) {
    return Refuse(absl::StrCat("a decision about step ", decision.step, " of ", ToString(decision.view)), now);
  }
  if (const absl::Status status = held_.Decided(decision); !status.ok()) return Fail(status, now);
  Plan(ApplyDecision{decision});
  const Seat seat = awaiting->seat;
  Follow(decision.next, seat, now);
}

void WorkerProtocol::OnProceed(const Proceed& proceed, MonotonicTime now) {
  assert(idle());
  if (over() || Left(proceed.view)) return;
  const Next& next = proceed.next;
  const auto* const joined = std::get_if<AwaitingInstall>(&state_);
  const bool crossed = joined != nullptr && joined->seat.view == proceed.view && next.action == NextAction::kStop;
  if (crossed) return;  // Joined; Install says the same
  const auto* const awaiting = std::get_if<AwaitingProceed>(&state_);
  if (awaiting == nullptr || awaiting->seat.view != proceed.view) {
    return Refuse(absl::StrCat("a Proceed of ", ToString(proceed.view)), now);
  }
  held_.Count(proceed.counters);
  const Seat seat = awaiting->seat;
  if (next.action == NextAction::kEvaluate) {  // it crossed the report of this evaluation
    if (next.checkpoint && seat.first()) Plan(BeginCheckpoint{seat.view, held_.point()->step});
    return;
  }
  Follow(next, seat, now);
}

absl::Status WorkerProtocol::OnProceedWhileJoining(const Proceed& proceed) {
  assert(std::holds_alternative<Joining>(state_) && running_);
  if (Left(proceed.view)) return absl::OkStatus();
  if (proceed.next.action == NextAction::kStop && proceed.view == held_.view()) {
    return absl::CancelledError("the run is to stop");
  }
  return absl::FailedPreconditionError(absl::StrCat("the coordinator sent a Proceed of ", ToString(proceed.view),
                                                    " while this worker ", worker_states::Describe(state_)));
}

std::optional<WorkerProtocol::BeginCheckpoint> WorkerProtocol::OnProceedWhileEvaluating(const Proceed& proceed,
                                                                                        MonotonicTime now) {
  assert(std::holds_alternative<Evaluating>(state_) && running_);
  if (Left(proceed.view)) return std::nullopt;
  const Seat seat = std::get<Evaluating>(state_).seat;
  const Next& next = proceed.next;
  const bool fits = proceed.view == seat.view && next.action != NextAction::kStep;
  if (fits) held_.Count(proceed.counters);
  if (fits && next.action == NextAction::kEvaluate) {
    if (!next.checkpoint || !seat.first()) return std::nullopt;
    return BeginCheckpoint{seat.view, held_.point()->step};
  }
  abandoned_ = true;
  running_ = false;
  if (fits) {
    Follow(next, seat, now);
  } else {
    Refuse(absl::StrCat("a Proceed of ", ToString(proceed.view)), now);
  }
  return std::nullopt;
}

void WorkerProtocol::Follow(const Next& next, const Seat& seat, MonotonicTime now) {
  const uint64_t step = held_.point()->step;  // decided last
  // Every worker's state is the same, so the view's first worker writes it alone.
  if (next.checkpoint && seat.first()) Plan(BeginCheckpoint{seat.view, step});
  switch (next.action) {
    case NextAction::kStep:
      if (next.plan.step != step + 1) {
        return Fail(absl::FailedPreconditionError(absl::StrCat("the coordinator asked for step ", next.plan.step,
                                                               " of ", ToString(seat.view), " after step ", step)),
                    now);
      }
      state_ = Computing{seat, next.plan.step};
      return Plan(ComputeStep{next.plan});
    case NextAction::kEvaluate:
      abandoned_ = false;
      state_ = Evaluating{seat};
      return Plan(Evaluate{step, seat.first(), held_.counters().best});
    case NextAction::kStop:
      state_ = Finishing{};
      return Plan(FinishRun{step, seat.first()});
  }
}

void WorkerProtocol::OnComputed(ReadyVote vote) {
  const Computing computed = TakeState<Computing>();
  state_ = AwaitingDecision{computed.seat, computed.step};
  held_.Voted(computed.step);
  vote.view = computed.seat.view;
  vote.step = computed.step;
  Send(std::move(vote));
}

void WorkerProtocol::OnEvaluated(std::vector<VerificationReport> sets, std::string problem) {
  const Evaluating evaluated = TakeState<Evaluating>();
  state_ = AwaitingProceed{evaluated.seat};
  // All workers have the same results.
  if (evaluated.seat.first()) Send(EvaluationReport{evaluated.seat.view, std::move(sets), std::move(problem)});
}

void WorkerProtocol::OnFinished() {
  TakeState<Finishing>();
  state_ = AwaitingEnd{};
  Send(FinishedReport{});
}

void WorkerProtocol::OnLostPeers(LostPeersReport report, MonotonicTime) {
  assert(running_ && (std::holds_alternative<Joining>(state_) || std::holds_alternative<Computing>(state_) ||
                      std::holds_alternative<Evaluating>(state_)));
  running_ = false;
  state_ = AwaitingView{};
  report.view = held_.view();
  Send(std::move(report));
}

void WorkerProtocol::OnVoided() {
  assert(running_ && work_.empty());
  running_ = false;
  if (std::holds_alternative<OpeningData>(state_)) {
    state_ = AwaitingWelcome{};
  } else {
    state_ = AwaitingView{};
  }
}

void WorkerProtocol::OnDetached(const absl::Status&, MonotonicTime) {
  assert(idle());
  if (ended()) return;
  if (const auto* const failing = std::get_if<Failing>(&state_); failing != nullptr) {
    state_ = Ended{absl::Status(failing->status)};
    return;
  }
  state_ = AwaitingWelcome{};
  Registration registration;
  registration.role = Role::kWorker;
  if (welcome_.has_value()) {
    registration.id = welcome_->id;
    registration.token = welcome_->token;
  }
  if (held_.view() != View{}) registration.held = held_.state();
  Plan(Attach{std::move(registration)});
}

void WorkerProtocol::OnFailed(const absl::Status& status, MonotonicTime now) {
  assert(!status.ok() && !over());
  running_ = false;
  Fail(status, now);
}

void WorkerProtocol::Refuse(absl::string_view message, MonotonicTime now) {
  Fail(absl::FailedPreconditionError(
           absl::StrCat("the coordinator sent ", message, " while this worker ", worker_states::Describe(state_))),
       now);
}

// The coordinator is told in OnTime, although nothing is waited for: its stream may have ended before, which the driver
// passes in first, and then its reason explains more than this one.
void WorkerProtocol::Fail(const absl::Status& status, MonotonicTime now) {
  work_.clear();
  state_ = Failing{status, now};
}

void WorkerProtocol::OnTime(MonotonicTime now) {
  auto* const failing = std::get_if<Failing>(&state_);
  if (failing == nullptr || now < failing->deadline) return;
  if (failing->told) {
    state_ = Ended{absl::Status(failing->status)};
    return;
  }
  Send(FailureReport::Of(failing->status));
  failing->told = true;
  failing->deadline = now + kPatience;
}

void WorkerProtocol::OnClosed(const absl::Status& status) {
  assert(idle());
  if (ended()) return;
  if (const auto* const failing = std::get_if<Failing>(&state_); failing != nullptr) {
    state_ = Ended{failing->told || status.ok() ? absl::Status(failing->status) : status};
  } else if (status.ok() && !std::holds_alternative<AwaitingEnd>(state_)) {
    state_ = Ended{absl::CancelledError("the run has ended")};
  } else {
    state_ = Ended{status};
  }
}

std::vector<ParticipantMessage> WorkerProtocol::TakeMessages() { return std::exchange(messages_, {}); }

std::optional<WorkerProtocol::Work> WorkerProtocol::TakeWork() {
  assert(!running_);
  if (work_.empty()) return std::nullopt;
  Work work = std::move(work_.front());
  work_.pop_front();
  running_ = !std::holds_alternative<Attach>(work) && !std::holds_alternative<ApplyDecision>(work) &&
             !std::holds_alternative<BeginCheckpoint>(work);
  return work;
}

MonotonicTime WorkerProtocol::deadline() const {
  const auto* const failing = std::get_if<Failing>(&state_);
  return failing != nullptr ? failing->deadline : MonotonicTime::InfiniteFuture();
}

absl::Status WorkerProtocol::status() const {
  assert(ended());
  return std::get<Ended>(state_).status;
}

}  // namespace arcshard::worker
