#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "arcshard/v1/coordinator.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/protocol/types.h"
#include "common/rpc/stream.h"

// A shard's or worker's side of Coordinator.Attend.
namespace arcshard {

// What the coordinator says. Called by gRPC threads, one at a time and in order; must not block. A status that is not
// OK ends the participant's stream; it is then what OnClosed gets.
class ParticipantEvents {
 public:
  virtual ~ParticipantEvents() = default;
  virtual absl::Status OnWelcome(uint32_t id, const std::string& config_yaml) = 0;
  virtual absl::Status OnView(const ViewAnnouncement& view) = 0;
  virtual absl::Status OnDecision(const Decision& decision) = 0;
  virtual absl::Status OnProceed(const Next& next) = 0;
  // Last, exactly once. OK: the run ended in order. Aborted: the run cannot go on, the message says why. Unavailable:
  // the coordinator is gone.
  virtual void OnClosed(const absl::Status& status) = 0;
};

struct ParticipantOptions {
  std::string coordinator;  // host:port
  v1::Register registration;
  absl::Duration connect_timeout = absl::Seconds(60);
  absl::Duration heartbeat_interval = absl::Seconds(1);
};

// Thread-safe.
class Participant {
 public:
  // Waits for the coordinator to answer, then registers. `events` must outlive the participant and its OnClosed.
  // Unavailable: the coordinator did not answer within connect_timeout; the message names its address.
  static absl::StatusOr<std::unique_ptr<Participant>> Attend(ParticipantOptions options, ParticipantEvents* events);

  // Cancels the stream if it is still open, and waits for OnClosed.
  ~Participant();

  void SendDataset(const v1::Dataset& dataset);
  void SendJoined(const View& view);
  void SendReady(const v1::Ready& ready);
  void SendEvaluated(const v1::Evaluated& evaluated);
  // This participant cannot go on: `status` becomes the run's end.
  void SendFailure(const absl::Status& status);
  // Results are durable. The coordinator answers with an orderly close.
  void SendFinished();

 private:
  class Handler;

  explicit Participant(ParticipantOptions options) : options_(std::move(options)) {}
  void Send(v1::ParticipantMessage message) { sender_->Send(std::move(message)); }
  void BeatUntilClosed();
  void MarkClosed();

  const ParticipantOptions options_;
  std::unique_ptr<v1::Coordinator::Stub> stub_;
  std::shared_ptr<StreamSender<v1::ParticipantMessage>> sender_;
  Mutex mutex_;
  CondVar changed_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread heartbeat_;
};

}  // namespace arcshard
