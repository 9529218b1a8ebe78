#include "common/rpc/participant.h"

#include <unistd.h>

#include <thread>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/rpc/client_stream.h"
#include "common/rpc/convert_messages.h"
#include "common/rpc/endpoint.h"

namespace arcshard {
namespace {

// Whether the stream has ended: told by its handler, awaited by the participant.
struct Closing {
  Mutex mutex;
  CondVar changed;
  bool closed ABSL_GUARDED_BY(mutex) = false;
};

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

class EventHandler final : public StreamHandler<v1::CoordinatorMessage> {
 public:
  EventHandler(std::string coordinator, ParticipantEvents* events, Closing* closing)
      : coordinator_(std::move(coordinator)), events_(events), closing_(closing) {}

  absl::Status OnMessage(const v1::CoordinatorMessage& message) override {
    ASSIGN_OR_RETURN(const CoordinatorMessage said, FromProto(message));
    return std::visit(
        Overloaded{[this](const Welcome& welcome) { return events_->OnWelcome(welcome.id, welcome.config_yaml); },
                   [this](const ViewAnnouncement& view) { return events_->OnView(view); },
                   [this](const Decision& decision) { return events_->OnDecision(decision); },
                   [this](const Proceed& proceed) { return events_->OnProceed(proceed.next); }},
        said);
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
    Send(options.registration);
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

  void Send(const ParticipantMessage& message) override { sender_->Send(ToProto(message)); }

 private:
  void BeatUntilClosed() {
    MutexLock lock(&closing_.mutex);
    while (!closing_.closed) {
      if (closing_.changed.WaitFor(&closing_.mutex, heartbeat_interval_)) continue;
      Send(HeartbeatReport{});
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
  options.registration.host = HostName();
  options.registration.pid = getpid();
  const std::shared_ptr<grpc::Channel> channel = MakeChannel(options.coordinator);
  RETURN_IF_ERROR(
      AwaitConnected(channel.get(), absl::StrCat("the coordinator at ", options.coordinator), options.connect_timeout));
  return std::make_unique<GrpcParticipant>(options, channel, events);
}

}  // namespace arcshard
