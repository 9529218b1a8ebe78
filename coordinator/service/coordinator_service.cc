#include "coordinator/service/coordinator_service.h"

#include <unistd.h>

#include <memory>
#include <optional>
#include <utility>
#include <variant>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/base/this_process.h"
#include "common/io/log.h"
#include "common/metrics/process_stats.h"
#include "common/metrics/traffic.h"
#include "common/rpc/checkpoint_pieces.h"
#include "common/rpc/convert/convert_messages.h"
#include "common/rpc/convert/convert_reports.h"
#include "common/rpc/security/authorize.h"
#include "common/rpc/security/refusal_log.h"
#include "common/rpc/server_stream.h"
#include "coordinator/service/progress_codec.h"
#include "coordinator/service/status_codec.h"

namespace arcshard::coordinator {
namespace {

// A status travels in an HTTP/2 header, and gRPC limits those to 8 KiB by default.
constexpr size_t kLongestSentence = 2000;

// Streams that may wait for their Register, beside as many as the run has members, which may all come at once.
constexpr size_t kMostUnregistered = 64;

// Every certificate allows to watch.
constexpr absl::Span<const CertifiedRole> kAnybody(kAllCertifiedRoles);

CertifiedRole CertifiedAs(Role role) { return role == Role::kShard ? CertifiedRole::kShard : CertifiedRole::kWorker; }

absl::Status Shortened(const absl::Status& status) {
  if (status.message().size() <= kLongestSentence) return status;
  return absl::Status(status.code(), absl::StrCat(status.message().substr(0, kLongestSentence), " ..."));
}

// How many of the message's figures could not be and were left out.
uint64_t OddFiguresOf(const ParticipantMessage& message) {
  uint64_t odd = 0;
  if (const auto* const beat = std::get_if<HeartbeatReport>(&message); beat != nullptr && beat->stats.has_value()) {
    odd = beat->stats->odd;
  } else if (const auto* const checkpoint = std::get_if<CheckpointReport>(&message); checkpoint != nullptr) {
    odd = checkpoint->odd;
  } else if (const auto* const evaluation = std::get_if<EvaluationReport>(&message); evaluation != nullptr) {
    for (const VerificationReport& set : evaluation->sets) odd += set.odd;
  } else if (const auto* const joined = std::get_if<JoinedReport>(&message); joined != nullptr) {
    odd = joined->odd;
  }
  return odd;
}

}  // namespace

class CoordinatorService::Packer final : public Session::Stream {
 public:
  Packer(std::shared_ptr<StreamSender<grpc::ByteBuffer>> stream, BroadcastPacker* packer, ProcessMetrics* metrics)
      : stream_(std::move(stream)), packer_(packer), refused_(metrics->refused_messages), sent_(metrics, kSent) {}

  void Send(const std::shared_ptr<const CoordinatorMessage>& message) override {
    grpc::ByteBuffer packed = packer_->Pack(message);
    sent_.CountBytes(packed.Length());
    stream_->Send(std::move(packed));
  }
  void Close(const absl::Status& status) override {
    const bool refuses = !status.ok() && !absl::IsAborted(status) && !absl::IsUnavailable(status);
    if (refuses) refused_.With(absl::StatusCodeToString(status.code())).Increment();
    stream_->Close(Shortened(status));
  }

 private:
  const std::shared_ptr<StreamSender<grpc::ByteBuffer>> stream_;
  BroadcastPacker* const packer_;
  LabelledMetric<Counter>& refused_;
  Traffic sent_;
};

class CoordinatorService::Attendance final : public StreamHandler<grpc::ByteBuffer> {
 public:
  Attendance(CoordinatorService* service, const grpc::CallbackServerContext& context,
             const std::shared_ptr<StreamSender<grpc::ByteBuffer>>& stream)
      : service_(service),
        session_(&service->session_),
        connection_(session_->Attach(std::make_shared<Packer>(stream, &service->packer_, service->metrics_))),
        ticket_(service->unregistered_.Enter([stream](const absl::Status& status) { stream->Close(status); })),
        peer_(context.peer()),
        certified_(RoleOfPeer(context)),
        odd_figures_(service->metrics_->odd_figures),
        received_(service->metrics_, kReceived) {}

  // It is the session that closes the stream, unless the bytes are no message.
  absl::Status OnMessage(const grpc::ByteBuffer& bytes) override {
    v1::ParticipantMessage message;
    if (!Parse(bytes, &message)) return absl::InternalError("the bytes are no message of a participant");
    received_.CountBytes(bytes.Length());
    absl::StatusOr<std::optional<ParticipantMessage>> unpacked = Unpack(message);
    if (unpacked.ok() && unpacked->has_value()) {
      if (absl::Status status = CheckRole(**unpacked); !status.ok()) unpacked = std::move(status);
    }
    if (!unpacked.ok()) {
      session_->Refuse(connection_, unpacked.status());
    } else if (unpacked->has_value()) {
      CountOddFigures(**unpacked);
      NoteMember(session_->Receive(connection_, **unpacked));
    }
    return absl::OkStatus();
  }
  void OnClosed(const absl::Status& status) override {
    service_->unregistered_.Leave(ticket_);
    session_->Detach(connection_, status);
  }

 private:
  void CountOddFigures(const ParticipantMessage& message) {
    const uint64_t odd = OddFiguresOf(message);
    if (odd == 0) return;
    if (odd_figures_.Value() == 0) LogInfo(absl::StrCat(peer_, " sent figures that cannot be; they are left out"));
    odd_figures_.Increment(static_cast<double>(odd));
  }

  // Nothing: the message is a piece of a report that is not yet complete.
  absl::StatusOr<std::optional<ParticipantMessage>> Unpack(const v1::ParticipantMessage& message) {
    if (member_ && message.has_checkpoint()) {
      ASSIGN_OR_RETURN(std::optional<CheckpointReport> report, assembler_.Add(message.checkpoint()));
      if (!report.has_value()) return std::nullopt;
      return ParticipantMessage(*std::move(report));
    }
    ASSIGN_OR_RETURN(ParticipantMessage unpacked, FromProto(message));
    return unpacked;
  }

  void NoteMember(bool member) {
    if (member && !member_) {
      service_->unregistered_.Leave(ticket_);
      service_->known_peers_.Add(peer_);
    }
    member_ = member;
  }

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

  CoordinatorService* const service_;
  Session* const session_;
  const Connection connection_;
  const WaitingRoom::Ticket ticket_;  // until it is a member
  const std::string peer_;            // address
  const std::optional<CertifiedRole> certified_;
  Counter& odd_figures_;
  bool member_ = false;
  CheckpointAssembler assembler_;
  Traffic received_;
};

CoordinatorService::CoordinatorService(Run::Options options, const Clock* clock, const Session::Receivers& receivers,
                                       CoordinatorMetrics* metrics)
    : progress_(receivers.progress),
      metrics_(metrics),
      unregistered_("Register", kMostUnregistered + options.config.cluster.shards + options.config.cluster.workers),
      session_(std::move(options), clock,
               {.progress = this, .keeper = receivers.keeper, .keep_lease_history = receivers.keep_lease_history}) {}

absl::Status CoordinatorService::Allow(const grpc::CallbackServerContext& context, absl::string_view rpc,
                                       absl::Span<const CertifiedRole> roles) {
  const absl::Status status = Authorize(context, rpc, roles);
  if (!status.ok()) metrics_->refused_messages.With(absl::StatusCodeToString(status.code())).Increment();
  if (status.ok() && RoleOfPeer(context).has_value()) known_peers_.Add(context);
  return status;
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* CoordinatorService::Attend(
    grpc::CallbackServerContext* context) {
  const absl::Status allowed = Allow(*context, "Coordinator.Attend", {CertifiedRole::kShard, CertifiedRole::kWorker});
  if (!allowed.ok()) {
    return new RefusedCall<grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>>(allowed);
  }
  return ServerStream<grpc::ByteBuffer, grpc::ByteBuffer>::Start(
      [this, context](const std::shared_ptr<StreamSender<grpc::ByteBuffer>>& stream) {
        return std::make_unique<Attendance>(this, *context, stream);
      });
}

grpc::ServerWriteReactor<v1::Progress>* CoordinatorService::Watch(grpc::CallbackServerContext* context,
                                                                  const v1::WatchRequest*) {
  const absl::Status allowed = Allow(*context, "Coordinator.Watch", kAnybody);
  if (!allowed.ok()) return new RefusedCall<grpc::ServerWriteReactor<v1::Progress>>(allowed);
  grpc::ServerWriteReactor<v1::Progress>* const stream = watchers_.Watch();
  if (stream == nullptr) {
    return new RefusedCall<grpc::ServerWriteReactor<v1::Progress>>(
        absl::ResourceExhaustedError(absl::StrCat(WatchHub::kMostStreams, " callers watch this run already")));
  }
  known_peers_.Add(*context);
  return stream;
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
  watchers_.Publish(ToProto(progress), HasEnded(progress));
  progress_->Report(progress);
}

void CoordinatorService::Note(const std::string& sentence) { progress_->Note(sentence); }
void CoordinatorService::CameOrWent(const std::string& sentence) { progress_->CameOrWent(sentence); }
void CoordinatorService::ViewFormed(const ViewAnnouncement& view) { progress_->ViewFormed(view); }
void CoordinatorService::StepDecided(const StepSummary& step) { progress_->StepDecided(step); }
void CoordinatorService::CheckpointSettled(const CheckpointSummary& checkpoint) {
  progress_->CheckpointSettled(checkpoint);
}
void CoordinatorService::Recovered(const RecoverySummary& recovery) { progress_->Recovered(recovery); }

}  // namespace arcshard::coordinator
