#include "common/rpc/participant.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/rpc/client_stream.h"
#include "common/rpc/convert.h"
#include "common/rpc/endpoint.h"

namespace arcshard {

class Participant::Handler final : public StreamHandler<v1::CoordinatorMessage> {
 public:
  Handler(Participant* participant, ParticipantEvents* events) : participant_(participant), events_(events) {}

  absl::Status OnMessage(const v1::CoordinatorMessage& message) override {
    switch (message.message_case()) {
      case v1::CoordinatorMessage::kWelcome:
        return events_->OnWelcome(message.welcome().id(), message.welcome().config_yaml());
      case v1::CoordinatorMessage::kView: {
        ASSIGN_OR_RETURN(const ViewAnnouncement view, FromProto(message.view()));
        return events_->OnView(view);
      }
      case v1::CoordinatorMessage::kDecision: {
        ASSIGN_OR_RETURN(const Decision decision, FromProto(message.decision()));
        return events_->OnDecision(decision);
      }
      case v1::CoordinatorMessage::kProceed: {
        ASSIGN_OR_RETURN(const Next next, FromProto(message.proceed().next()));
        return events_->OnProceed(next);
      }
      case v1::CoordinatorMessage::MESSAGE_NOT_SET:
        break;
    }
    return absl::InvalidArgumentError("the coordinator sent an empty message");
  }

  void OnClosed(const absl::Status& status) override {
    events_->OnClosed(
        status.code() == absl::StatusCode::kUnavailable
            ? absl::UnavailableError(absl::StrCat("lost the coordinator at ", participant_->options_.coordinator))
            : status);
    participant_->MarkClosed();
  }

 private:
  Participant* const participant_;
  ParticipantEvents* const events_;
};

absl::StatusOr<std::unique_ptr<Participant>> Participant::Attend(ParticipantOptions options,
                                                                 ParticipantEvents* events) {
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(options.coordinator);
  RETURN_IF_ERROR(
      AwaitConnected(channel.get(), absl::StrCat("the coordinator at ", options.coordinator), options.connect_timeout));
  auto participant = std::unique_ptr<Participant>(new Participant(std::move(options)));
  participant->stub_ = v1::Coordinator::NewStub(channel);
  participant->sender_ = ClientStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start(
      std::make_unique<Handler>(participant.get(), events),
      [&](grpc::ClientContext* context, auto* reactor) { participant->stub_->async()->Attend(context, reactor); });
  v1::ParticipantMessage first;
  *first.mutable_register_() = participant->options_.registration;
  participant->Send(std::move(first));
  participant->heartbeat_ = std::thread([p = participant.get()] { p->BeatUntilClosed(); });
  return participant;
}

Participant::~Participant() {
  sender_->Close(absl::CancelledError("the participant leaves"));
  {
    MutexLock lock(&mutex_);
    while (!closed_) changed_.Wait(&mutex_);
  }
  heartbeat_.join();
}

void Participant::MarkClosed() {
  MutexLock lock(&mutex_);
  closed_ = true;
  changed_.NotifyAll();
}

void Participant::BeatUntilClosed() {
  MutexLock lock(&mutex_);
  while (!closed_) {
    if (changed_.WaitFor(&mutex_, options_.heartbeat_interval)) continue;
    v1::ParticipantMessage beat;
    beat.mutable_heartbeat();
    Send(std::move(beat));
  }
}

void Participant::SendDataset(const v1::Dataset& dataset) {
  v1::ParticipantMessage message;
  *message.mutable_dataset() = dataset;
  Send(std::move(message));
}

void Participant::SendJoined(const View& view) {
  v1::ParticipantMessage message;
  *message.mutable_joined()->mutable_view() = ToProto(view);
  Send(std::move(message));
}

void Participant::SendReady(const v1::Ready& ready) {
  v1::ParticipantMessage message;
  *message.mutable_ready() = ready;
  Send(std::move(message));
}

void Participant::SendEvaluated(const v1::Evaluated& evaluated) {
  v1::ParticipantMessage message;
  *message.mutable_evaluated() = evaluated;
  Send(std::move(message));
}

void Participant::SendFailure(const absl::Status& status) {
  v1::ParticipantMessage message;
  message.mutable_failure()->set_sentence(std::string(status.message()));
  message.mutable_failure()->set_code(static_cast<int32_t>(status.code()));
  Send(std::move(message));
}

void Participant::SendFinished() {
  v1::ParticipantMessage message;
  message.mutable_finished();
  Send(std::move(message));
}

}  // namespace arcshard
