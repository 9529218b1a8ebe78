#include "coordinator/service/coordinator_service.h"

#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/this_process.h"
#include "common/metrics/process_stats.h"
#include "common/metrics/traffic.h"
#include "common/rpc/convert_messages.h"
#include "common/rpc/convert_reports.h"
#include "common/rpc/security/authorize.h"
#include "common/rpc/security/refusal_log.h"
#include "common/rpc/server_stream.h"
#include "coordinator/service/progress_codec.h"
#include "coordinator/service/status_codec.h"

namespace arcshard::coordinator {
namespace {

// A status travels in an HTTP/2 header, and gRPC limits those to 8 KiB by default.
constexpr size_t kLongestSentence = 2000;

// Every certificate allows to watch.
constexpr absl::Span<const CertifiedRole> kAnybody(kAllCertifiedRoles);

CertifiedRole CertifiedAs(Role role) { return role == Role::kShard ? CertifiedRole::kShard : CertifiedRole::kWorker; }

absl::Status Shortened(const absl::Status& status) {
  if (status.message().size() <= kLongestSentence) return status;
  return absl::Status(status.code(), absl::StrCat(status.message().substr(0, kLongestSentence), " ..."));
}

}  // namespace

class CoordinatorService::Packer final : public Session::Stream {
 public:
  Packer(std::shared_ptr<StreamSender<v1::CoordinatorMessage>> stream, ProcessMetrics* metrics)
      : stream_(std::move(stream)), refused_(metrics->refused_messages), sent_(metrics, kSent) {}

  bool Send(CoordinatorMessage message) override {
    v1::CoordinatorMessage packed = ToProto(message);
    sent_.Count(packed);
    return stream_->Send(std::move(packed));
  }
  void Close(const absl::Status& status) override {
    if (!status.ok() && !absl::IsAborted(status)) refused_.With(absl::StatusCodeToString(status.code())).Increment();
    stream_->Close(Shortened(status));
  }

 private:
  const std::shared_ptr<StreamSender<v1::CoordinatorMessage>> stream_;
  LabelledMetric<Counter>& refused_;
  Traffic sent_;
};

class CoordinatorService::Attendance final : public StreamHandler<v1::ParticipantMessage> {
 public:
  Attendance(Session* session, Connection connection, const grpc::CallbackServerContext& context,
             ProcessMetrics* metrics)
      : session_(session),
        connection_(connection),
        peer_(context.peer()),
        certified_(RoleOfPeer(context)),
        received_(metrics, kReceived) {}

  // Always OK: it is the session that closes the stream.
  absl::Status OnMessage(const v1::ParticipantMessage& message) override {
    received_.Count(message);
    absl::StatusOr<ParticipantMessage> unpacked = FromProto(message);
    if (unpacked.ok()) {
      if (absl::Status status = CheckRole(*unpacked); !status.ok()) unpacked = std::move(status);
    }
    if (unpacked.ok()) {
      session_->Receive(connection_, *unpacked);
    } else {
      session_->Refuse(connection_, unpacked.status());
    }
    return absl::OkStatus();
  }
  void OnClosed(const absl::Status& status) override { session_->Detach(connection_, status); }

 private:
  // A participant must register with the role of its certificate.
  absl::Status CheckRole(const ParticipantMessage& message) const {
    const auto* const registration = std::get_if<Registration>(&message);
    if (registration == nullptr || !certified_.has_value()) return absl::OkStatus();
    const CertifiedRole claimed = CertifiedAs(registration->role);
    if (claimed == *certified_) return absl::OkStatus();
    const absl::Status status = absl::PermissionDeniedError(
        absl::StrCat("registers as a ", NameOf(claimed), " with the certificate of a ", NameOf(*certified_)));
    LogRefusal(peer_, status.message());
    return status;
  }

  Session* const session_;
  const Connection connection_;
  const std::string peer_;  // address
  const std::optional<CertifiedRole> certified_;
  Traffic received_;
};

CoordinatorService::CoordinatorService(Run::Options options, const Clock* clock, const Session::Receivers& receivers,
                                       ProcessMetrics* metrics)
    : progress_(receivers.progress),
      metrics_(metrics),
      session_(std::move(options), clock,
               {.progress = this, .keeper = receivers.keeper, .keep_lease_history = receivers.keep_lease_history}) {}

absl::Status CoordinatorService::Allow(const grpc::CallbackServerContext& context, absl::string_view rpc,
                                       absl::Span<const CertifiedRole> roles) {
  const absl::Status status = Authorize(context, rpc, roles);
  if (!status.ok()) metrics_->refused_messages.With(absl::StatusCodeToString(status.code())).Increment();
  return status;
}

grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>* CoordinatorService::Attend(
    grpc::CallbackServerContext* context) {
  const absl::Status allowed = Allow(*context, "Coordinator.Attend", {CertifiedRole::kShard, CertifiedRole::kWorker});
  if (!allowed.ok()) {
    return new RefusedCall<grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>>(allowed);
  }
  return ServerStream<v1::ParticipantMessage, v1::CoordinatorMessage>::Start(
      [this, context](std::shared_ptr<StreamSender<v1::CoordinatorMessage>> stream) {
        const Connection connection = session_.Attach(std::make_shared<Packer>(std::move(stream), metrics_));
        return std::make_unique<Attendance>(&session_, connection, *context, metrics_);
      });
}

grpc::ServerWriteReactor<v1::Progress>* CoordinatorService::Watch(grpc::CallbackServerContext* context,
                                                                  const v1::WatchRequest*) {
  const absl::Status allowed = Allow(*context, "Coordinator.Watch", kAnybody);
  if (!allowed.ok()) return new RefusedCall<grpc::ServerWriteReactor<v1::Progress>>(allowed);
  return watchers_.Watch();
}

grpc::ServerUnaryReactor* CoordinatorService::Stop(grpc::CallbackServerContext* context, const v1::StopRequest*,
                                                   v1::StopResponse*) {
  const absl::Status allowed = Allow(*context, "Coordinator.Stop", {CertifiedRole::kClient});
  if (allowed.ok()) session_.RequestStop();
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToGrpcStatus(allowed));
  return reactor;
}

grpc::ServerUnaryReactor* CoordinatorService::TakeCheckpoint(grpc::CallbackServerContext* context,
                                                             const v1::TakeCheckpointRequest*,
                                                             v1::TakeCheckpointResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Status allowed = Allow(*context, "Coordinator.TakeCheckpoint", {CertifiedRole::kClient});
  if (!allowed.ok()) {
    reactor->Finish(ToGrpcStatus(allowed));
    return reactor;
  }
  session_.TakeCheckpoint([reactor, response](const absl::StatusOr<CheckpointTaken>& taken) {
    if (taken.ok()) {
      response->set_step(taken->step);
      response->set_folder(taken->folder);
    }
    reactor->Finish(ToGrpcStatus(Shortened(taken.status())));
  });
  return reactor;
}

grpc::ServerUnaryReactor* CoordinatorService::GetStatus(grpc::CallbackServerContext* context, const v1::StatusRequest*,
                                                        v1::RunStatus* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  const absl::Status allowed = Allow(*context, "Coordinator.GetStatus", kAnybody);
  if (!allowed.ok()) {
    reactor->Finish(ToGrpcStatus(allowed));
    return reactor;
  }
  *response = ToProto(session_.Status());
  const ParticipantStats own = StatsOf(metrics_, {kDecision});
  v1::MemberStatus* coordinator = response->mutable_coordinator();
  coordinator->set_host(HostName());
  coordinator->set_pid(getpid());
  coordinator->set_resident_bytes(own.resident_bytes);
  for (const PhaseTime& phase : own.phases) *coordinator->add_phases() = arcshard::ToProto(phase);
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

void CoordinatorService::Report(const Progress& progress) {
  watchers_.Publish(ToProto(progress), progress.phase == Phase::kFinished || progress.phase == Phase::kFailed);
  progress_->Report(progress);
}

void CoordinatorService::Note(const std::string& sentence) { progress_->Note(sentence); }
void CoordinatorService::ViewFormed(const ViewAnnouncement& view) { progress_->ViewFormed(view); }
void CoordinatorService::StepDecided(const StepSummary& step) { progress_->StepDecided(step); }
void CoordinatorService::CheckpointSettled(const CheckpointSummary& checkpoint) {
  progress_->CheckpointSettled(checkpoint);
}

}  // namespace arcshard::coordinator
