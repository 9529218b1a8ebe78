#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/clock.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/checkpoint_report.h"
#include "common/rpc/endpoint.h"
#include "common/rpc/security/certified_role.h"
#include "coordinator/service/session.h"
#include "coordinator/service/watch.h"

namespace arcshard::coordinator {

// One participant's part of a checkpoint is a process's state: more than this no host has memory for.
inline constexpr uint64_t kMaxPartBytes = uint64_t{16} << 40;
// What a server of Service must take. The largest message is a CheckpointReport, which names each block of its files
// with 4 bytes: 64 MiB of them, and the rest is short.
inline constexpr int kMaxParticipantMessageBytes = kMaxMessageBytes + 4 * int{kMaxPartBytes / FileRecord::kBlockBytes};

// arcshard.v1.Coordinator over gRPC: unpacks what arrives, hands it to the session, packs what the session says.
// Thread-safe. Must outlive its server.
class Service final : public v1::Coordinator::CallbackService, private ProgressSink {
 public:
  // `sink` gets the same reports as those who watch, under the session's lock. All outlive the service.
  Service(Run::Options options, const Clock* clock, ProgressSink* sink, ProcessMetrics* metrics);

  grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>* Attend(
      grpc::CallbackServerContext* context) override;
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

 private:
  class Attendance;  // what a participant's stream receives
  class Packer;      // what it sends

  // Authorize, counted where it refuses.
  absl::Status Allow(const grpc::CallbackServerContext& context, absl::string_view rpc,
                     absl::Span<const CertifiedRole> roles);

  void Report(const Progress& progress) override;
  void Note(const std::string& sentence) override;
  void ViewFormed(const ViewAnnouncement& view) override;
  void StepDecided(const StepSummary& step) override;
  void CheckpointSettled(const CheckpointSummary& checkpoint) override;

  ProgressSink* const sink_;
  ProcessMetrics* const metrics_;
  WatchHub watchers_;
  Session session_;  // last: it reports as soon as it is made
};

}  // namespace arcshard::coordinator
