#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/stream.h"
#include "coordinator/run.h"
#include "coordinator/watch.h"

namespace arcshard::coordinator {

// arcshard.v1.Coordinator over gRPC: unpacks what arrives, hands it to Run under the one lock that guards it, packs
// what Run says. Thread-safe. Must outlive its server. Lock order: this one's lock, then those of streams and watchers.
class Service final : public v1::Coordinator::CallbackService, private Outbox, private ProgressSink {
 public:
  // `sink` gets what Run reports, under the lock. All outlive the service.
  Service(Run::Options options, const Clock* clock, ProgressSink* sink, ProcessMetrics* metrics);

  // --- RPCs
  grpc::ServerBidiReactor<v1::ParticipantMessage, v1::CoordinatorMessage>* Attend(
      grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::Progress>* Watch(grpc::CallbackServerContext* context,
                                                const v1::WatchRequest* request) override;
  grpc::ServerUnaryReactor* Stop(grpc::CallbackServerContext* context, const v1::StopRequest* request,
                                 v1::StopResponse* response) override;

  // --- For main
  void RequestStop();
  void Tick();
  // How the run ended, once it has; nothing after `timeout` without an end. Then every stream is closed or closing.
  std::optional<absl::Status> AwaitEnd(absl::Duration timeout);

 private:
  class Attendance;  // the handler of one participant's stream

  void Received(Connection from, const v1::ParticipantMessage& message);
  void Disconnected(Connection from, const absl::Status& status);
  void CloseAllIfEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Outbox and ProgressSink: called by run_, under the lock.
  void Send(Connection to, const CoordinatorMessage& message) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Close(Connection to, const absl::Status& status) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Report(const Progress& progress) override;
  void Note(const std::string& sentence) override;
  void ViewFormed(const ViewAnnouncement& view) override;
  void StepDecided(const StepSummary& step) override;

  ProgressSink* const sink_;
  LabelledMetric<Counter>& refused_;
  Counter &sent_, &sent_bytes_, &received_, &received_bytes_;
  WatchHub watchers_;
  Mutex mutex_;
  CondVar ended_;
  std::map<Connection, std::shared_ptr<StreamSender<v1::CoordinatorMessage>>> streams_ ABSL_GUARDED_BY(mutex_);
  Connection last_connection_ ABSL_GUARDED_BY(mutex_) = 0;
  Run run_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::coordinator
