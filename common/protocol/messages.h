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
#include "common/protocol/types.h"
#include "common/protocol/verification_report.h"

// The messages between participants and coordinator (proto/arcshard/v1/coordinator.proto), without protobuf.
namespace arcshard {

enum class Role { kShard, kWorker };

// A GPU that a shard may compute on.
struct VisibleDevice {
  std::string uuid;             // the driver's
  std::string name = {};        // of the model
  uint64_t capacity_bytes = 0;  // replaces Registration::capacity_bytes on this GPU; 0: does not replace it
  friend bool operator==(const VisibleDevice&, const VisibleDevice&) = default;
};

// Asks the coordinator to lease one of `devices`.
struct DeviceRequest {
  std::string machine;                 // the same for all containers of one machine
  std::string replica;                 // the same after a restart
  std::vector<VisibleDevice> devices;  // the preferred one first
  std::string held = {};               // uuid of the GPU that holds the shard's state; empty: none does
  bool share = false;                  // may be shared with others that set it too
  friend bool operator==(const DeviceRequest&, const DeviceRequest&) = default;
};

struct Registration {
  Role role = Role::kShard;
  std::string address;             // host:port where it listens
  std::string host;                // for messages
  int64_t pid = 0;                 // for messages
  uint64_t capacity_bytes = 0;     // shards
  uint64_t last_decided_step = 0;  // 0: none
  uint64_t lineage = 0;
  View last_view = {};
  std::optional<DeviceRequest> device_request = std::nullopt;  // shards on a GPU
  friend bool operator==(const Registration&, const Registration&) = default;
};

struct DatasetReport {
  uint64_t samples = 0;
  int64_t classes = 0;
  uint64_t fingerprint = 0;
  friend bool operator==(const DatasetReport&, const DatasetReport&) = default;
};

struct JoinedReport {
  View view = {};
  uint64_t verification_images = 0;  // workers: of the verification sets, this worker's share
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

// The number and total time of one phase of a step (metric_list.h).
struct PhaseTime {
  std::string name;
  uint64_t count = 0;
  double seconds = 0.0;  // in total
  friend bool operator==(const PhaseTime&, const PhaseTime&) = default;
};

// What a participant reports about itself.
struct ParticipantStats {
  uint64_t resident_bytes = 0;
  uint64_t held_bytes = 0;             // shards: for their range
  std::vector<PhaseTime> phases = {};  // since the process started
  uint64_t odd = 0;                    // entries of `phases` that could not be and were left out; on receipt
  // Workers, while they evaluate: images of their share that are embedded, and all of them. Else 0.
  uint64_t verified_images = 0;
  uint64_t images_to_verify = 0;
  friend bool operator==(const ParticipantStats&, const ParticipantStats&) = default;
};

struct HeartbeatReport {
  std::optional<ParticipantStats> stats = std::nullopt;  // no value: nothing new
};

using ParticipantMessage =
    std::variant<Registration, DatasetReport, JoinedReport, ReadyVote, EvaluationReport, FailureReport, FinishedReport,
                 HeartbeatReport, CheckpointReport, LeavingReport>;

struct Welcome {
  uint32_t id = 0;
  std::string config_yaml;
  uint64_t incarnation = 0;
  absl::Duration heartbeat_interval = absl::ZeroDuration();  // zero: the participant chooses
  std::string device = {};                                   // uuid of the leased GPU; empty: none was requested
  std::string token = {};                                    // distinguishes this participant from others of its role
};

struct Proceed {
  View view = {};
  Next next;
};

using CoordinatorMessage = std::variant<Welcome, ViewAnnouncement, Decision, Proceed>;

}  // namespace arcshard
