#include "client/participant.h"

#include <unistd.h>

#include <cassert>
#include <functional>
#include <thread>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/metrics/traffic.h"
#include "common/rpc/client_stream.h"
#include "common/rpc/convert_messages.h"
#include "common/rpc/endpoint.h"

namespace arcshard::client {
namespace {

// Shared by the stream's handler and the thread that sends heartbeats.
struct Shared {
  explicit Shared(absl::Duration interval) : heartbeat_interval(interval) {}

  Mutex mutex;
  CondVar changed;
  bool closed ABSL_GUARDED_BY(mutex) = false;
  absl::Duration heartbeat_interval ABSL_GUARDED_BY(mutex);
};

template <typename... Handlers>
struct Overloaded : Handlers... {
  using Handlers::operator()...;
};
template <typename... Handlers>
Overloaded(Handlers...) -> Overloaded<Handlers...>;

class EventHandler final : public StreamHandler<v1::CoordinatorMessage> {
 public:
  EventHandler(const ParticipantOptions& options, ParticipantEvents* events, Shared* shared)
      : coordinator_(options.coordinator), events_(events), shared_(shared), received_(options.metrics, kReceived) {}

  absl::Status OnMessage(const v1::CoordinatorMessage& message) override {
    received_.Count(message);
    ASSIGN_OR_RETURN(const CoordinatorMessage received, FromProto(message));
    return std::visit(Overloaded{[this](const Welcome& welcome) {
                                   if (welcome.heartbeat_interval > absl::ZeroDuration())
                                     Adopt(welcome.heartbeat_interval);
                                   return events_->OnWelcome(welcome);
                                 },
                                 [this](const ViewAnnouncement& view) { return events_->OnView(view); },
                                 [this](const Decision& decision) { return events_->OnDecision(decision); },
                                 [this](const Proceed& proceed) { return events_->OnProceed(proceed.next); }},
                      received);
  }

  void OnClosed(const absl::Status& status) override {
    const bool lost = absl::IsUnavailable(status);
    events_->OnClosed(lost ? absl::UnavailableError(absl::StrCat("lost the coordinator at ", coordinator_)) : status);
    MutexLock lock(&shared_->mutex);
    shared_->closed = true;
    shared_->changed.NotifyAll();
  }

 private:
  void Adopt(absl::Duration heartbeat_interval) {
    MutexLock lock(&shared_->mutex);
    shared_->heartbeat_interval = heartbeat_interval;
    shared_->changed.NotifyAll();
  }

  const std::string coordinator_;
  ParticipantEvents* const events_;
  Shared* const shared_;
  Traffic received_;
};

class GrpcParticipant final : public Participant {
 public:
  GrpcParticipant(const ParticipantOptions& options, const std::shared_ptr<grpc::Channel>& channel,
                  ParticipantEvents* events)
      : shared_(options.heartbeat_interval),
        clock_(options.clock),
        stats_(options.stats),
        departure_(options.departure),
        sent_(options.metrics, kSent),
        stub_(v1::Coordinator::NewStub(channel)) {
    sender_ = ClientStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start(
        std::make_unique<EventHandler>(options, events, &shared_),
        [this](grpc::ClientContext* context, auto* reactor) { stub_->async()->Attend(context, reactor); });
    // Whoever sees that this process has registered may tell it to end at once.
    if (departure_ != nullptr) {
      departure_->Begin(this, options.registration);
    } else {
      Send(options.registration);
    }
    heartbeat_ = std::thread([this, registered = clock_->Now()] { BeatUntilClosed(registered); });
  }

  ~GrpcParticipant() override {
    if (departure_ != nullptr) departure_->End();
    sender_->Close(absl::CancelledError("the participant leaves"));
    {
      MutexLock lock(&shared_.mutex);
      while (!shared_.closed) shared_.changed.Wait(&shared_.mutex);
    }
    heartbeat_.join();
  }

  void Send(const ParticipantMessage& message) override {
    for (v1::ParticipantMessage& packed : ToProtos(message)) {
      sent_.Count(packed);
      sender_->Send(std::move(packed));
    }
  }

 private:
  // `last`: when the coordinator was last sent a message.
  void BeatUntilClosed(MonotonicTime last) {
    while (AwaitBeat(last)) {
      last = clock_->Now();
      HeartbeatReport beat;
      if (stats_) beat.stats = stats_();
      Send(beat);
    }
  }

  // Waits until the heartbeat after the one at `last` is due; false: the stream has ended.
  bool AwaitBeat(MonotonicTime last) {
    MutexLock lock(&shared_.mutex);
    while (!shared_.closed) {
      const MonotonicTime due = last + shared_.heartbeat_interval;
      if (clock_->Now() >= due) return true;
      clock_->WaitUntil(due, &shared_.mutex, &shared_.changed);
    }
    return false;
  }

  Shared shared_;
  const Clock* const clock_;
  const std::function<ParticipantStats()> stats_;
  Departure* const departure_;
  Traffic sent_;
  const std::unique_ptr<v1::Coordinator::Stub> stub_;
  std::shared_ptr<StreamSender<v1::ParticipantMessage>> sender_;
  std::thread heartbeat_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<Participant>> Participant::Attend(ParticipantOptions options,
                                                                 ParticipantEvents* events) {
  assert(options.clock != nullptr && events != nullptr);
  options.registration.host = HostName();
  options.registration.pid = getpid();
  const std::shared_ptr<grpc::Channel> channel =
      MakeChannel(options.coordinator, options.security, CertifiedRole::kCoordinator);
  RETURN_IF_ERROR(
      AwaitConnected(channel.get(), absl::StrCat("the coordinator at ", options.coordinator), options.connect_timeout));
  return std::make_unique<GrpcParticipant>(options, channel, events);
}

}  // namespace arcshard::client
