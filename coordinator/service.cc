#include "coordinator/service.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "common/rpc/server_stream.h"
#include "coordinator/codec.h"

namespace arcshard::coordinator {
namespace {

// A status travels in a header of HTTP/2, which is bounded (8 KiB unless told otherwise).
constexpr size_t kLongestSentence = 2000;

absl::Status Shortened(const absl::Status& status) {
  if (status.message().size() <= kLongestSentence) return status;
  return absl::Status(status.code(), absl::StrCat(status.message().substr(0, kLongestSentence), " ..."));
}

}  // namespace

class Service::Attendance final : public StreamHandler<v1::ParticipantMessage> {
 public:
  Attendance(Service* service, Connection connection) : service_(service), connection_(connection) {}

  // Whatever ends the stream was said to it by Run.
  absl::Status OnMessage(const v1::ParticipantMessage& message) override {
    service_->Received(connection_, message);
    return absl::OkStatus();
  }
  void OnClosed(const absl::Status& status) override { service_->Disconnected(connection_, status); }

 private:
  Service* const service_;
  const Connection connection_;
};

Service::Service(Run::Options options, const Clock* clock, ProgressSink* sink, ProcessMetrics* metrics)
    : sink_(sink),
      refused_(metrics->refused_messages),
      sent_(metrics->messages.With(kSent)),
      sent_bytes_(metrics->message_bytes.With(kSent)),
      received_(metrics->messages.With(kReceived)),
      received_bytes_(metrics->message_bytes.With(kReceived)),
      run_(std::move(options), clock, this, this) {}

grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>* Service::Attend(grpc::CallbackServerContext*) {
  return ServerStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start(
      [this](std::shared_ptr<StreamSender<v1::CoordinatorMessage>> sender) {
        MutexLock lock(&mutex_);
        const Connection connection = ++last_connection_;
        streams_.emplace(connection, std::move(sender));
        return std::make_unique<Attendance>(this, connection);
      });
}

grpc::ServerWriteReactor<v1::Progress>* Service::Watch(grpc::CallbackServerContext*, const v1::WatchRequest*) {
  return watchers_.Watch();
}

grpc::ServerUnaryReactor* Service::Stop(grpc::CallbackServerContext* context, const v1::StopRequest*,
                                        v1::StopResponse*) {
  RequestStop();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

void Service::Received(Connection from, const v1::ParticipantMessage& message) {
  received_.Increment();
  received_bytes_.Increment(static_cast<double>(message.ByteSizeLong()));
  const absl::StatusOr<ParticipantMessage> unpacked = FromProto(message);
  MutexLock lock(&mutex_);
  if (unpacked.ok()) {
    run_.Receive(from, *unpacked);
  } else {
    run_.Refuse(from, unpacked.status());
  }
  CloseAllIfEnded();
}

void Service::Disconnected(Connection from, const absl::Status& status) {
  MutexLock lock(&mutex_);
  streams_.erase(from);
  run_.Disconnected(from, status.ok() ? "stream ended" : "stream broken");
  CloseAllIfEnded();
}

void Service::RequestStop() {
  MutexLock lock(&mutex_);
  run_.RequestStop();
  CloseAllIfEnded();
}

void Service::Tick() {
  MutexLock lock(&mutex_);
  run_.Tick();
  CloseAllIfEnded();
}

std::optional<absl::Status> Service::AwaitEnd(absl::Duration timeout) {
  MutexLock lock(&mutex_);
  if (!run_.result().has_value()) ended_.WaitFor(&mutex_, timeout);
  return run_.result();
}

// Run has closed its members' streams; there may be others that never registered.
void Service::CloseAllIfEnded() {
  const std::optional<absl::Status>& result = run_.result();
  if (!result.has_value()) return;
  const absl::Status closing = result->ok() ? absl::OkStatus() : Shortened(absl::AbortedError(result->message()));
  for (const auto& [connection, stream] : streams_) stream->Close(closing);
  ended_.NotifyAll();
}

void Service::Send(Connection to, const CoordinatorMessage& message) {
  const auto stream = streams_.find(to);
  if (stream == streams_.end()) return;
  v1::CoordinatorMessage packed = ToProto(message);
  sent_.Increment();
  sent_bytes_.Increment(static_cast<double>(packed.ByteSizeLong()));
  stream->second->Send(std::move(packed));
}

void Service::Close(Connection to, const absl::Status& status) {
  const auto stream = streams_.find(to);
  if (stream == streams_.end()) return;
  if (!status.ok() && !absl::IsAborted(status)) refused_.With(absl::StatusCodeToString(status.code())).Increment();
  stream->second->Close(Shortened(status));
}

void Service::Report(const Progress& progress) {
  watchers_.Publish(ToProto(progress), progress.phase == Phase::kFinished || progress.phase == Phase::kFailed);
  sink_->Report(progress);
}

void Service::Note(const std::string& sentence) { sink_->Note(sentence); }
void Service::ViewFormed(const ViewAnnouncement& view) { sink_->ViewFormed(view); }
void Service::StepDecided(const StepSummary& step) { sink_->StepDecided(step); }

}  // namespace arcshard::coordinator
