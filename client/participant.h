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

// Receives the coordinator's messages. Called by the participant's and gRPC's threads, one call at a time and in order,
// also from one stream to the next; must not block. A status that is not OK ends the participant, and OnClosed gets it.
class ParticipantEvents {
 public:
  virtual ~ParticipantEvents() = default;
  virtual absl::Status OnWelcome(const Welcome& welcome) = 0;
  virtual absl::Status OnView(const ViewAnnouncement& view) = 0;
  virtual absl::Status OnInstall(const Install& install) = 0;
  virtual absl::Status OnDecision(const Decision& decision) = 0;
  virtual absl::Status OnProceed(const Proceed& proceed) = 0;
  virtual absl::Status OnCheckpointSettled(const CheckpointSettled& settled) = 0;
  // The connection to the coordinator is lost: it broke, was silent for heartbeat_timeout, or the coordinator took this
  // process for dead. `why` is Unavailable and names the coordinator. Called exactly once for each stream that is lost;
  // nothing is received from then on until the owner calls Attach, and what it sends is dropped.
  virtual void OnDetached(const absl::Status& why) = 0;
  // The last call, made exactly once. OK: the run ended in order. Aborted: the run cannot continue, the message says
  // why. FailedPrecondition: the run has no place for this process any more. Unavailable: the coordinator could not be
  // reached again. Cancelled: the participant was destroyed.
  virtual void OnClosed(const absl::Status& status) = 0;
};

struct ParticipantOptions {
  std::string coordinator;       // host:port
  Security security;             // of the connection to it
  Registration registration;     // Attend fills in host and pid
  const Clock* clock = nullptr;  // times the heartbeats and what SetTimeouts says; outlives the participant
  absl::Duration connect_timeout = absl::Seconds(60);
  absl::Duration heartbeat_interval = absl::Seconds(1);  // until the coordinator's Welcome sets another
  absl::Duration rejoin_timeout = absl::Minutes(10);     // until SetTimeouts sets another
  // Returns the statistics that a heartbeat carries. Called by the participant's own thread; must not block; null:
  // none.
  std::function<ParticipantStats()> stats = nullptr;
  ProcessMetrics* metrics = nullptr;  // counts messages and bytes; outlives the participant; null: no counting
  Departure* departure = nullptr;     // announces this process's end to the run; outlives the participant; null: none
};

// A process's membership in a run: its stream to the coordinator, with heartbeats, and another stream whenever one is
// lost.
//
//               Welcome                      lost ► OnDetached
//   registered ─────────► attached ────────────────────┐
//       │  ▲                                           ▼     rejoin_timeout has passed
//       │  └─────────── connected again ◄── Attach ── detached ────────────────► OnClosed
//       │ lost ► OnDetached                            ▲
//       └──────────────────────────────────────────────┘
//
// A process that nobody knows yet is not worth that: before its first Welcome a loss is the end, unless it is a spare.
// Of two coordinators it obeys the one with the higher incarnation: a Welcome from a lower one counts as a loss.
//
// Thread-safe. Its header includes no protobuf, so that code that includes LibTorch can use it.
class Participant {
 public:
  // Waits for the coordinator to answer, then registers. `events` must outlive the participant. Requires a clock.
  // Unavailable: the coordinator did not answer within connect_timeout; the message names its address.
  static absl::StatusOr<std::unique_ptr<Participant>> Attend(ParticipantOptions options, ParticipantEvents* events);

  // Cancels the stream, or the attempt to connect again, and waits for OnClosed. Not to be called by an event.
  virtual ~Participant() = default;

  // Sends a message after the registration, in the order that coordinator.proto demands. Heartbeats are sent without
  // the caller, while it is registered. Never blocks; what is sent while no stream is open is dropped. Only Leaving is
  // kept: it is told to every coordinator that takes this process in again, and shortens the time that it waits for one
  // (Rejoin::kPatienceAtTheEnd).
  virtual void Send(const ParticipantMessage& message) = 0;

  // After OnDetached, from any thread and from OnDetached itself: connects again, with pauses, and sends
  // `registration`, of which host and pid are filled in. Does not block. May be called again while it has not connected
  // yet: the last registration counts. Without effect while it is registered, and after the end.
  //
  // The time for this counts from the first loss to the next Welcome; once it has passed, also without an Attach,
  // OnClosed follows with Unavailable, which names the coordinator and the time.
  virtual void Attach(Registration registration) = 0;

  // Silence of the coordinator for heartbeat_timeout counts as a loss, of which there is no limit before; after
  // rejoin_timeout without a Welcome the participant gives up. For when the configuration is known.
  virtual void SetTimeouts(absl::Duration heartbeat_timeout, absl::Duration rejoin_timeout) = 0;
};

}  // namespace arcshard::client
