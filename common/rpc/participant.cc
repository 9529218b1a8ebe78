#include "common/rpc/participant.h"

#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/rpc/client_stream.h"
#include "common/rpc/convert.h"
#include "common/rpc/endpoint.h"

namespace arcshard {
namespace {

// Whether the stream has ended: told by its handler, awaited by the participant.
struct Closing {
  Mutex mutex;
  CondVar changed;
  bool closed ABSL_GUARDED_BY(mutex) = false;
};

class EventHandler final : public StreamHandler<v1::CoordinatorMessage> {
 public:
  EventHandler(std::string coordinator, ParticipantEvents* events, Closing* closing)
      : coordinator_(std::move(coordinator)), events_(events), closing_(closing) {}

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
    const bool lost = absl::IsUnavailable(status);
    events_->OnClosed(lost ? absl::UnavailableError(absl::StrCat("lost the coordinator at ", coordinator_)) : status);
    MutexLock lock(&closing_->mutex);
    closing_->closed = true;
    closing_->changed.NotifyAll();
  }

 private:
  const std::string coordinator_;
  ParticipantEvents* const events_;
  Closing* const closing_;
};

class GrpcParticipant final : public Participant {
 public:
  GrpcParticipant(const ParticipantOptions& options, const std::shared_ptr<grpc::Channel>& channel,
                  ParticipantEvents* events)
      : heartbeat_interval_(options.heartbeat_interval), stub_(v1::Coordinator::NewStub(channel)) {
    sender_ = ClientStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start(
        std::make_unique<EventHandler>(options.coordinator, events, &closing_),
        [this](grpc::ClientContext* context, auto* reactor) { stub_->async()->Attend(context, reactor); });
    v1::ParticipantMessage message;
    *message.mutable_register_() = ToProto(options.registration);
    sender_->Send(std::move(message));
    heartbeat_ = std::thread([this] { BeatUntilClosed(); });
  }

  ~GrpcParticipant() override {
    sender_->Close(absl::CancelledError("the participant leaves"));
    {
      MutexLock lock(&closing_.mutex);
      while (!closing_.closed) closing_.changed.Wait(&closing_.mutex);
    }
    heartbeat_.join();
  }

  void SendDataset(const DatasetReport& dataset) override {
    v1::ParticipantMessage message;
    *message.mutable_dataset() = ToProto(dataset);
    sender_->Send(std::move(message));
  }

  void SendJoined(const View& view) override {
    v1::ParticipantMessage message;
    *message.mutable_joined()->mutable_view() = ToProto(view);
    sender_->Send(std::move(message));
  }

  void SendReady(const ReadyVote& vote) override {
    v1::ParticipantMessage message;
    *message.mutable_ready() = ToProto(vote);
    sender_->Send(std::move(message));
  }

  void SendEvaluated(const EvaluationReport& report) override {
    v1::ParticipantMessage message;
    *message.mutable_evaluated() = ToProto(report);
    sender_->Send(std::move(message));
  }

  void SendFailure(const absl::Status& status) override {
    v1::ParticipantMessage message;
    message.mutable_failure()->set_sentence(std::string(status.message()));
    message.mutable_failure()->set_code(static_cast<int32_t>(status.code()));
    sender_->Send(std::move(message));
  }

  void SendFinished() override {
    v1::ParticipantMessage message;
    message.mutable_finished();
    sender_->Send(std::move(message));
  }

 private:
  void BeatUntilClosed() {
    MutexLock lock(&closing_.mutex);
    while (!closing_.closed) {
      if (closing_.changed.WaitFor(&closing_.mutex, heartbeat_interval_)) continue;
      v1::ParticipantMessage beat;
      beat.mutable_heartbeat();
      sender_->Send(std::move(beat));
    }
  }

  const absl::Duration heartbeat_interval_;
  const std::unique_ptr<v1::Coordinator::Stub> stub_;
  Closing closing_;
  std::shared_ptr<StreamSender<v1::ParticipantMessage>> sender_;
  std::thread heartbeat_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Participant>> Participant::Attend(ParticipantOptions options,
                                                                 ParticipantEvents* events) {
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(options.coordinator);
  RETURN_IF_ERROR(
      AwaitConnected(channel.get(), absl::StrCat("the coordinator at ", options.coordinator), options.connect_timeout));
  return std::make_unique<GrpcParticipant>(options, channel, events);
}

}  // namespace arcshard
