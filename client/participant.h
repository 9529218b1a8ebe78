#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "common/rpc/security/security.h"

// A shard's or worker's side of Coordinator.Attend.
namespace arcshard::client {

// What the coordinator says. Called by gRPC threads, one at a time and in order; must not block. A status that is not
// OK ends the participant's stream; it is then what OnClosed gets.
class ParticipantEvents {
 public:
  virtual ~ParticipantEvents() = default;
  virtual absl::Status OnWelcome(const Welcome& welcome) = 0;
  virtual absl::Status OnView(const ViewAnnouncement& view) = 0;
  virtual absl::Status OnDecision(const Decision& decision) = 0;
  virtual absl::Status OnProceed(const Next& next) = 0;
  // Last, exactly once. OK: the run ended in order. Aborted: the run cannot go on, the message says why. Unavailable:
  // the coordinator is gone.
  virtual void OnClosed(const absl::Status& status) = 0;
};

struct ParticipantOptions {
  std::string coordinator;    // host:port
  Security security;          // of the way there
  Registration registration;  // without host and pid, which Attend fills in
  absl::Duration connect_timeout = absl::Seconds(60);
  absl::Duration heartbeat_interval = absl::Seconds(1);  // until the coordinator's Welcome says another
  // What each heartbeat says of this process. Called by a thread of the participant's; must not block; null: nothing.
  std::function<ParticipantStats()> stats = nullptr;
  ProcessMetrics* metrics = nullptr;  // counts messages and bytes; outlives the participant; null: nobody counts
};

// Thread-safe. Free of protobuf, so that whoever knows LibTorch may know it too.
class Participant {
 public:
  // Waits for the coordinator to answer, then registers. `events` must outlive the participant and its OnClosed.
  // Unavailable: the coordinator did not answer within connect_timeout; the message names its address.
  static absl::StatusOr<std::unique_ptr<Participant>> Attend(ParticipantOptions options, ParticipantEvents* events);

  // Cancels the stream if it is still open, and waits for OnClosed.
  virtual ~Participant() = default;

  // A message after the first, in the order of coordinator.proto. Heartbeats are sent by themselves. Never blocks;
  // dropped when the stream has ended.
  virtual void Send(const ParticipantMessage& message) = 0;
};

}  // namespace arcshard::client
