#include "worker/worker_protocol.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"

namespace arcshard::worker {

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

void WorkerProtocol::OnWelcome(const Welcome& welcome, MonotonicTime now) {
  assert(idle());
  if (over()) return;
  if (!std::holds_alternative<AwaitingWelcome>(state_)) return Refuse("a Welcome", now);
  id_ = welcome.id;
  state_ = OpeningData{};
  Plan(OpenData{welcome});
}

void WorkerProtocol::OnDataOpened(const DatasetReport& dataset) {
  TakeState<OpeningData>();
  state_ = AwaitingView{};
  Send(dataset);
}

bool WorkerProtocol::AcceptsView() const {
  return std::holds_alternative<AwaitingView>(state_) || std::holds_alternative<AwaitingDecision>(state_) ||
         std::holds_alternative<AwaitingProceed>(state_);
}

void WorkerProtocol::OnView(const ViewAnnouncement& view, MonotonicTime now) {
  assert(idle());
  if (over()) return;
  if (!AcceptsView()) return Refuse(ToString(view.view), now);
  const auto self =
      std::find_if(view.workers.begin(), view.workers.end(), [this](const WorkerMember& w) { return w.id == id_; });
  if (self == view.workers.end()) {
    return Fail(absl::FailedPreconditionError(absl::StrCat(ToString(view.view), " is without this worker")), now);
  }
  const Seat seat{view.view, static_cast<size_t>(self - view.workers.begin())};
  state_ = Joining{seat, view.last_decided_step};
  Plan(JoinView{view, seat.position});
}

void WorkerProtocol::OnJoined(uint64_t verification_images) {
  const Joining joined = TakeState<Joining>();
  state_ = AwaitingDecision{joined.seat, joined.last_decided_step, /*applies=*/false};
  Send(JoinedReport{joined.seat.view, verification_images});
}

void WorkerProtocol::OnDecision(const Decision& decision, MonotonicTime now) {
  assert(idle());
  if (over()) return;
  const auto* const awaiting = std::get_if<AwaitingDecision>(&state_);
  if (awaiting == nullptr || awaiting->step != decision.step || awaiting->seat.view != decision.view) {
    return Refuse(absl::StrCat("a decision about step ", decision.step, " of ", ToString(decision.view)), now);
  }
  if (awaiting->applies) Plan(ApplyDecision{decision});
  const Seat seat = awaiting->seat;
  Follow(decision.next, seat, decision.step);
}

void WorkerProtocol::OnProceed(const Next& next, MonotonicTime now) {
  assert(idle());
  if (over()) return;
  const auto* const joined = std::get_if<AwaitingDecision>(&state_);
  const bool first = joined != nullptr && !joined->applies;
  if (first && next.action == NextAction::kStop) return;  // it crossed Joined; the first decision says the same
  const auto* const awaiting = std::get_if<AwaitingProceed>(&state_);
  if (awaiting == nullptr) return Refuse("a Proceed", now);
  const AwaitingProceed evaluated = *awaiting;
  if (next.action == NextAction::kEvaluate) {  // it crossed the report of this evaluation
    if (next.checkpoint && evaluated.seat.first()) Plan(BeginCheckpoint{evaluated.seat.view, evaluated.step});
    return;
  }
  Follow(next, evaluated.seat, evaluated.step);
}

absl::Status WorkerProtocol::OnProceedWhileJoining(const Next& next) const {
  assert(std::holds_alternative<Joining>(state_) && running_);
  if (next.action == NextAction::kStop) return absl::CancelledError("the run is to stop");
  return absl::FailedPreconditionError(absl::StrCat("the coordinator sent a Proceed while this worker ", Doing()));
}

std::optional<WorkerProtocol::BeginCheckpoint> WorkerProtocol::OnProceedWhileEvaluating(const Next& next,
                                                                                        MonotonicTime now) {
  assert(std::holds_alternative<Evaluating>(state_) && running_);
  const Evaluating evaluating = std::get<Evaluating>(state_);
  if (next.action == NextAction::kEvaluate) {
    if (!next.checkpoint || !evaluating.seat.first()) return std::nullopt;
    return BeginCheckpoint{evaluating.seat.view, evaluating.step};
  }
  abandoned_ = true;
  running_ = false;
  if (next.action == NextAction::kStop) {
    Follow(next, evaluating.seat, evaluating.step);
  } else {
    Refuse("a Proceed to the next step", now);
  }
  return std::nullopt;
}

void WorkerProtocol::Follow(const Next& next, const Seat& seat, uint64_t step) {
  // Every worker's state is the same, so the view's first worker writes it alone.
  if (next.checkpoint && seat.first()) Plan(BeginCheckpoint{seat.view, step});
  switch (next.action) {
    case NextAction::kStep:
      state_ = Computing{seat, next.plan.step};
      Plan(ComputeStep{next.plan});
      return;
    case NextAction::kEvaluate:
      abandoned_ = false;
      state_ = Evaluating{seat, step};
      Plan(Evaluate{step, seat.first()});
      return;
    case NextAction::kStop:
      state_ = Finishing{};
      Plan(FinishRun{step, seat.first()});
      return;
  }
}

void WorkerProtocol::OnComputed(ReadyVote vote) {
  const Computing computed = TakeState<Computing>();
  state_ = AwaitingDecision{computed.seat, computed.step};
  vote.view = computed.seat.view;
  vote.step = computed.step;
  Send(std::move(vote));
}

void WorkerProtocol::OnEvaluated(std::vector<VerificationReport> sets, std::string problem) {
  const Evaluating evaluated = TakeState<Evaluating>();
  state_ = AwaitingProceed{evaluated.seat, evaluated.step};
  // All workers have the same results.
  if (evaluated.seat.first()) Send(EvaluationReport{evaluated.seat.view, std::move(sets), std::move(problem)});
}

void WorkerProtocol::OnFinished() {
  TakeState<Finishing>();
  state_ = AwaitingEnd{};
  Send(FinishedReport{});
}

void WorkerProtocol::OnFailed(const absl::Status& status, MonotonicTime now) {
  assert(!status.ok() && !over());
  running_ = false;
  Fail(status, now);
}

void WorkerProtocol::Refuse(absl::string_view message, MonotonicTime now) {
  Fail(absl::FailedPreconditionError(absl::StrCat("the coordinator sent ", message, " while this worker ", Doing())),
       now);
}

// The coordinator is told in OnTime, even where nothing is waited for: its stream may have ended before, which the
// driver passes in first, and then its reason explains more than this one.
void WorkerProtocol::Fail(const absl::Status& status, MonotonicTime now) {
  work_.clear();
  state_ = Failing{status, absl::IsUnavailable(status) ? now + kPatience : now};
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
  running_ = !std::holds_alternative<ApplyDecision>(work) && !std::holds_alternative<BeginCheckpoint>(work);
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

std::string WorkerProtocol::Doing() const {
  struct Describe {
    std::string operator()(const AwaitingWelcome&) const { return "waits for the Welcome"; }
    std::string operator()(const OpeningData&) const { return "opens its data"; }
    std::string operator()(const AwaitingView&) const { return "waits for the first view"; }
    std::string operator()(const Joining&) const { return "joins a view"; }
    std::string operator()(const AwaitingDecision& awaiting) const {
      return absl::StrCat("waits for the decision about step ", awaiting.step, " of ", ToString(awaiting.seat.view));
    }
    std::string operator()(const Computing&) const { return "computes a step"; }
    std::string operator()(const Evaluating&) const { return "evaluates"; }
    std::string operator()(const AwaitingProceed&) const { return "waits for a Proceed"; }
    std::string operator()(const Finishing&) const { return "finishes"; }
    std::string operator()(const AwaitingEnd&) const { return "has finished"; }
    std::string operator()(const Failing&) const { return "has failed"; }
    std::string operator()(const Ended&) const { return "has ended"; }
  };
  return std::visit(Describe{}, state_);
}

}  // namespace arcshard::worker
