#include "coordinator/service.h"

#include <unistd.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/this_process.h"
#include "common/metrics/process_stats.h"
#include "common/rpc/convert_messages.h"
#include "common/rpc/convert_reports.h"
#include "common/rpc/server_stream.h"
#include "coordinator/progress_codec.h"
#include "coordinator/status_codec.h"

namespace arcshard::coordinator {
namespace {

// A status travels in a header of HTTP/2, which is bounded (8 KiB unless told otherwise).
constexpr size_t kLongestSentence = 2000;

absl::Status Shortened(const absl::Status& status) {
  if (status.message().size() <= kLongestSentence) return status;
  return absl::Status(status.code(), absl::StrCat(status.message().substr(0, kLongestSentence), " ..."));
}

}  // namespace

class Service::Packer final : public Session::Stream {
 public:
  Packer(std::shared_ptr<StreamSender<v1::CoordinatorMessage>> stream, ProcessMetrics* metrics)
      : stream_(std::move(stream)),
        refused_(metrics->refused_messages),
        sent_(metrics->messages.With(kSent)),
        sent_bytes_(metrics->message_bytes.With(kSent)) {}

  bool Send(CoordinatorMessage message) override {
    v1::CoordinatorMessage packed = ToProto(message);
    sent_.Increment();
    sent_bytes_.Increment(static_cast<double>(packed.ByteSizeLong()));
    return stream_->Send(std::move(packed));
  }
  void Close(const absl::Status& status) override {
    if (!status.ok() && !absl::IsAborted(status)) refused_.With(absl::StatusCodeToString(status.code())).Increment();
    stream_->Close(Shortened(status));
  }

 private:
  const std::shared_ptr<StreamSender<v1::CoordinatorMessage>> stream_;
  LabelledMetric<Counter>& refused_;
  Counter& sent_;
  Counter& sent_bytes_;
};

class Service::Attendance final : public StreamHandler<v1::ParticipantMessage> {
 public:
  Attendance(Session* session, Connection connection, ProcessMetrics* metrics)
      : session_(session),
        connection_(connection),
        received_(metrics->messages.With(kReceived)),
        received_bytes_(metrics->message_bytes.With(kReceived)) {}

  // Whatever ends the stream is said to it by the session.
  absl::Status OnMessage(const v1::ParticipantMessage& message) override {
    received_.Increment();
    received_bytes_.Increment(static_cast<double>(message.ByteSizeLong()));
    const absl::StatusOr<ParticipantMessage> unpacked = FromProto(message);
    if (unpacked.ok()) {
      session_->Receive(connection_, *unpacked);
    } else {
      session_->Refuse(connection_, unpacked.status());
    }
    return absl::OkStatus();
  }
  void OnClosed(const absl::Status& status) override { session_->Detach(connection_, status); }

 private:
  Session* const session_;
  const Connection connection_;
  Counter& received_;
  Counter& received_bytes_;
};

Service::Service(Run::Options options, const Clock* clock, ProgressSink* sink, ProcessMetrics* metrics)
    : sink_(sink), metrics_(metrics), session_(std::move(options), clock, this) {}

grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>* Service::Attend(grpc::CallbackServerContext*) {
  return ServerStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start(
      [this](std::shared_ptr<StreamSender<v1::CoordinatorMessage>> stream) {
        const Connection connection = session_.Attach(std::make_shared<Packer>(std::move(stream), metrics_));
        return std::make_unique<Attendance>(&session_, connection, metrics_);
      });
}

grpc::ServerWriteReactor<v1::Progress>* Service::Watch(grpc::CallbackServerContext*, const v1::WatchRequest*) {
  return watchers_.Watch();
}

grpc::ServerUnaryReactor* Service::Stop(grpc::CallbackServerContext* context, const v1::StopRequest*,
                                        v1::StopResponse*) {
  session_.RequestStop();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* Service::GetStatus(grpc::CallbackServerContext* context, const v1::StatusRequest*,
                                             v1::RunStatus* response) {
  *response = ToProto(session_.Status());
  const ParticipantStats own = StatsOf(metrics_, {kDecision});
  v1::MemberStatus* coordinator = response->mutable_coordinator();
  coordinator->set_host(HostName());
  coordinator->set_pid(getpid());
  coordinator->set_resident_bytes(own.resident_bytes);
  for (const PhaseTime& phase : own.phases) *coordinator->add_phases() = arcshard::ToProto(phase);
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

void Service::Report(const Progress& progress) {
  watchers_.Publish(ToProto(progress), progress.phase == Phase::kFinished || progress.phase == Phase::kFailed);
  sink_->Report(progress);
}

void Service::Note(const std::string& sentence) { sink_->Note(sentence); }
void Service::ViewFormed(const ViewAnnouncement& view) { sink_->ViewFormed(view); }
void Service::StepDecided(const StepSummary& step) { sink_->StepDecided(step); }

}  // namespace arcshard::coordinator
