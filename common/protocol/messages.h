#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/failure_details.h"
#include "common/protocol/checkpoint_report.h"
#include "common/protocol/participant_stats.h"
#include "common/protocol/registration.h"
#include "common/protocol/types.h"
#include "common/protocol/verification_report.h"

// The messages between participants and coordinator (proto/arcshard/v1/coordinator.proto), without protobuf.
namespace arcshard {

struct DatasetReport {
  uint64_t samples = 0;
  int64_t classes = 0;
  uint64_t fingerprint = 0;
  friend bool operator==(const DatasetReport&, const DatasetReport&) = default;
};

// The sender holds the view's state, and its peers are connected.
struct JoinedReport {
  View view = {};
  uint64_t verification_images = 0;  // workers: of the verification sets, this worker's share
  StatePoint state = {};             // the view's
  // How it came by the state: shards by a replay of so many steps, or workers by a copy. 0 where it held the state.
  uint64_t replayed_steps = 0;
  double rebuilt_in_seconds = 0.0;
  uint64_t odd = 0;  // figures that could not be and count as 0; on receipt
};

// The sender cannot reach other members, or has waited for them in vain; the coordinator decides who is out.
struct LostPeersReport {
  View view = {};
  std::vector<uint32_t> shards = {};
  std::vector<uint32_t> workers = {};  // all the others of the view where the all-reduce cannot tell which
  std::string sentence;
};

// A member's vote about a step (coordinator.proto, Ready).
struct ReadyVote {
  View view = {};
  uint64_t step = 0;
  bool finite = true;
  double loss = 0.0;           // workers only; equal for all of them
  double target_cosine = 0.0;  // workers only; equal for all of them
  std::string reason = {};     // if not finite
  uint64_t corrupt_records = 0;
  bool wants_checkpoint = false;  // shards: the log has reached half of its bound
  bool log_is_dropped = false;    // shards: the log does not have every record after the base
  friend bool operator==(const ReadyVote&, const ReadyVote&) = default;
};

struct EvaluationReport {
  View view = {};
  std::vector<VerificationReport> sets;
  std::string problem = {};  // why a set is missing, or the best backbone was not written; empty: there was none
  friend bool operator==(const EvaluationReport&, const EvaluationReport&) = default;
};

struct FailureReport {
  std::string sentence;
  int code = 0;  // of google.rpc.Code
  FailureCause cause = FailureCause::kOther;

  static FailureReport Of(const absl::Status& status) {
    return {std::string(status.message()), status.raw_code(), DetailsOf(status).cause};
  }
};

struct FinishedReport {};

// The sender was told to end (coordinator.proto, Leaving).
struct LeavingReport {
  std::string reason;  // "SIGTERM"
};

struct HeartbeatReport {
  std::optional<ParticipantStats> stats = std::nullopt;  // no value: nothing new
};

using ParticipantMessage =
    std::variant<Registration, DatasetReport, JoinedReport, ReadyVote, EvaluationReport, FailureReport, FinishedReport,
                 HeartbeatReport, CheckpointReport, LeavingReport, LostPeersReport>;

struct Welcome {
  uint32_t id = 0;
  std::string config_yaml;
  uint64_t incarnation = 0;
  absl::Duration heartbeat_interval = absl::ZeroDuration();  // zero: the participant chooses
  std::string device = {};                                   // uuid of the leased GPU; empty: none was requested
  std::string token = {};                                    // distinguishes this participant from others of its role
};

// All members hold the view's state: the run goes on with `next`.
struct Install {
  View view = {};
  Next next;
  RunCounters counters = {};
  friend bool operator==(const Install&, const Install&) = default;
};

struct Proceed {
  View view = {};
  Next next;
  RunCounters counters = {};
  friend bool operator==(const Proceed&, const Proceed&) = default;
};

// The checkpoint of `state` is complete, and replay logs begin after it from now on; or it has failed.
struct CheckpointSettled {
  StatePoint state;
  bool complete = false;
  friend bool operator==(const CheckpointSettled&, const CheckpointSettled&) = default;
};

// A sign of life of the coordinator.
struct Pulse {
  friend bool operator==(const Pulse&, const Pulse&) = default;
};

using CoordinatorMessage =
    std::variant<Welcome, ViewAnnouncement, Install, Decision, Proceed, CheckpointSettled, Pulse>;

}  // namespace arcshard
