#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/clock.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/admission/known_peers.h"
#include "common/rpc/admission/waiting_room.h"
#include "common/rpc/security/certified_role.h"
#include "coordinator/service/session.h"
#include "coordinator/service/watch.h"
#include "coordinator/service/wire.h"

namespace arcshard::coordinator {

// A server of CoordinatorService must accept messages of this size. Large reports come in pieces (checkpoint_pieces.h),
// so that strangers, whose messages are kept until they are complete, cannot fill the memory.
inline constexpr int kMaxParticipantMessageBytes = 256 << 10;

// v1::Coordinator::CallbackService, but that Attend's messages are bytes (wire.h).
using CoordinatorCallbacks = v1::Coordinator::WithRawCallbackMethod_Attend<v1::Coordinator::WithCallbackMethod_Watch<
    v1::Coordinator::WithCallbackMethod_Stop<v1::Coordinator::WithCallbackMethod_TakeCheckpoint<
        v1::Coordinator::WithCallbackMethod_GetStatus<v1::Coordinator::Service>>>>>;

// arcshard.v1.Coordinator over gRPC: converts messages from and to protobuf; the session does the rest. Thread-safe.
// Must outlive its server.
class CoordinatorService final : public CoordinatorCallbacks, private ProgressSink {
 public:
  // `receivers.progress` gets the same reports as the callers of Watch. All that is passed outlives the service.
  CoordinatorService(Run::Options options, const Clock* clock, const Session::Receivers& receivers,
                     CoordinatorMetrics* metrics);

  grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* Attend(grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::Progress>* Watch(grpc::CallbackServerContext* context,
                                                const v1::WatchRequest* request) override;
  grpc::ServerUnaryReactor* Stop(grpc::CallbackServerContext* context, const v1::StopRequest* request,
                                 v1::StopResponse* response) override;
  grpc::ServerUnaryReactor* TakeCheckpoint(grpc::CallbackServerContext* context,
                                           const v1::TakeCheckpointRequest* request,
                                           v1::TakeCheckpointResponse* response) override;
  grpc::ServerUnaryReactor* GetStatus(grpc::CallbackServerContext* context, const v1::StatusRequest* request,
                                      v1::RunStatus* response) override;

  Session* session() { return &session_; }
  // The members' connections, those of watchers and, under TLS, all whose certificate may do what they asked for.
  KnownPeers* known_peers() { return &known_peers_; }

 private:
  class Attendance;  // the receiving end of a participant's stream
  class Packer;      // the sending end

  // Calls Authorize, counts refusals, and remembers whom a certificate makes known.
  absl::Status Allow(const grpc::CallbackServerContext& context, absl::string_view rpc,
                     absl::Span<const CertifiedRole> roles);

  void Report(const Progress& progress) override;
  void Note(const std::string& sentence) override;
  void CameOrWent(const std::string& sentence) override;
  void ViewFormed(const ViewAnnouncement& view) override;
  void StepDecided(const StepSummary& step) override;
  void CheckpointSettled(const CheckpointSummary& checkpoint) override;
  void Recovered(const RecoverySummary& recovery) override;

  ProgressSink* const progress_;
  CoordinatorMetrics* const metrics_;
  KnownPeers known_peers_;
  WaitingRoom unregistered_;
  BroadcastPacker packer_;
  WatchHub watchers_;
  Session session_;  // last, because its constructor reports
};

}  // namespace arcshard::coordinator
