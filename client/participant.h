#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/departure.h"
#include "common/base/clock.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "common/rpc/security/security.h"

// A shard's or worker's side of Coordinator.Attend.
namespace arcshard::client {

// Receives the coordinator's messages. Called by gRPC threads, one call at a time and in order; must not block. A
// status that is not OK ends the participant's stream, and OnClosed gets it.
class ParticipantEvents {
 public:
  virtual ~ParticipantEvents() = default;
  virtual absl::Status OnWelcome(const Welcome& welcome) = 0;
  virtual absl::Status OnView(const ViewAnnouncement& view) = 0;
  virtual absl::Status OnDecision(const Decision& decision) = 0;
  virtual absl::Status OnProceed(const Next& next) = 0;
  // The last call, made exactly once. OK: the run ended in order. Aborted: the run cannot continue, the message says
  // why. Unavailable: the connection to the coordinator is lost.
  virtual void OnClosed(const absl::Status& status) = 0;
};

struct ParticipantOptions {
  std::string coordinator;       // host:port
  Security security;             // of the connection to it
  Registration registration;     // Attend fills in host and pid
  const Clock* clock = nullptr;  // times the heartbeats; outlives the participant
  absl::Duration connect_timeout = absl::Seconds(60);
  absl::Duration heartbeat_interval = absl::Seconds(1);  // until the coordinator's Welcome sets another
  // Returns the statistics that a heartbeat carries. Called by the participant's own thread; must not block; null:
  // none.
  std::function<ParticipantStats()> stats = nullptr;
  ProcessMetrics* metrics = nullptr;  // counts messages and bytes; outlives the participant; null: no counting
  Departure* departure = nullptr;     // announces this process's end to the run; outlives the participant; null: none
};

// A process's membership in a run: its stream to the coordinator, with heartbeats. Thread-safe. Its header includes no
// protobuf, so that code that includes LibTorch can use it.
class Participant {
 public:
  // Waits for the coordinator to answer, then registers. `events` must outlive the participant. Requires a clock.
  // Unavailable: the coordinator did not answer within connect_timeout; the message names its address.
  static absl::StatusOr<std::unique_ptr<Participant>> Attend(ParticipantOptions options, ParticipantEvents* events);

  // Cancels the stream if it is still open, and waits for OnClosed.
  virtual ~Participant() = default;

  // Sends a message after the registration, in the order that coordinator.proto demands. Heartbeats are sent without
  // the caller. Never blocks; a message is dropped once the stream has ended.
  virtual void Send(const ParticipantMessage& message) = 0;
};

}  // namespace arcshard::client
