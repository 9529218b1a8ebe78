#include "tests/simulation/sim_participant.h"

#include <variant>

#include "absl/strings/str_cat.h"

namespace arcshard::simulation {

void SimParticipant::Start() { Attach(Describe()); }

void SimParticipant::Attach(Registration registration) {
  registration.host = host();
  Try(registration, ++attempt_);
}

void SimParticipant::Try(const Registration& registration, uint64_t attempt) {
  if (attempt != attempt_) return;
  const auto me = self();
  StreamEnd<CoordinatorMessage> end;
  end.process = me;
  end.on_message = [this, attempt](const CoordinatorMessage& message) {
    if (attempt == attempt_) Receive(message);
  };
  end.on_closed = [this, attempt](const absl::Status& status) {
    if (attempt == attempt_) Closed(status);
  };
  stream_ = directory()->ConnectToCoordinator(std::move(end));
  if (stream_ == nullptr) {
    const absl::Duration pause = absl::Milliseconds(100 + static_cast<int64_t>(world()->Draw(400)));
    world()->Later(me, pause, [this, registration, attempt] { Try(registration, attempt); });
    return;
  }
  last_heard_ = world()->time()->Now();
  stream_->SendToServer(registration);
  Beat(attempt);
}

void SimParticipant::Beat(uint64_t attempt) {
  if (attempt != attempt_ || stream_ == nullptr) return;
  if (world()->time()->Now() - last_heard_ > config().cluster.heartbeat_timeout) return Detach();
  stream_->SendToServer(HeartbeatReport{Stats()});
  world()->Later(self(), config().cluster.heartbeat_interval, [this, attempt] { Beat(attempt); });
}

void SimParticipant::Send(ParticipantMessage message) {
  if (stream_ != nullptr) stream_->SendToServer(std::move(message));
}

void SimParticipant::Receive(const CoordinatorMessage& message) {
  last_heard_ = world()->time()->Now();
  if (const auto* const welcome = std::get_if<Welcome>(&message); welcome != nullptr) {
    if (welcome->incarnation < incarnation_) return Detach();
    incarnation_ = welcome->incarnation;
  }
  if (!std::holds_alternative<Pulse>(message)) OnMessage(message);
}

void SimParticipant::Closed(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return Detach();
  stream_ = nullptr;
  ++attempt_;
  if (!status.ok()) return Fail(status);
  ended_ = true;
  Die();
}

void SimParticipant::Detach() {
  if (stream_ != nullptr) stream_->CloseByClient(absl::CancelledError("the participant leaves"));
  stream_ = nullptr;
  ++attempt_;
  OnDetached();
}

void SimParticipant::Fail(const absl::Status& status) {
  directory()->Log(absl::StrCat(host(), " ends: ", status.ToString()));
  Die();
}

}  // namespace arcshard::simulation
