#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/checkpoint/manifest.h"
#include "common/protocol/messages.h"
#include "coordinator/members/connection.h"
#include "coordinator/policy/device_leases.h"
#include "coordinator/progress/progress.h"
#include "coordinator/progress/recovery.h"

// What a Run wants done. It calls nobody while it handles an input; it collects outputs, in order, and its owner takes
// and delivers them afterwards.
namespace arcshard::coordinator {

// A complete checkpoint.
struct CheckpointTaken {
  uint64_t step = 0;
  std::string folder;
};
using CheckpointAnswer = std::function<void(const absl::StatusOr<CheckpointTaken>&)>;

struct SendMessage {
  Connection to = 0;
  std::shared_ptr<const CoordinatorMessage> message;  // not null; the receivers of a broadcast share it
};
inline SendMessage MessageTo(Connection to, CoordinatorMessage message) {
  return {to, std::make_shared<const CoordinatorMessage>(std::move(message))};
}
// Nothing more is sent to this stream.
struct CloseStream {
  Connection to = 0;
  absl::Status status;
};
// A sentence for the log.
struct Note {
  std::string sentence;
};
// A sentence for the log, too: somebody has registered, or has left before it took part. A stranger may cause any
// number of these.
struct CameOrWent {
  std::string sentence;
};
struct ViewFormed {
  ViewAnnouncement view;
};
// All parts of the checkpoint are there: the manifest completes it. Run::CheckpointKept must then be told the result.
struct CompleteCheckpoint {
  std::string folder;
  Manifest manifest;
};
// The checkpoint has failed: whatever files it has are to be deleted.
struct AbandonCheckpoint {
  std::string folder;
};
// Checkpoints that newer ones replace may be deleted: no member restores one of them.
struct DeleteSuperseded {};
// The result for a caller of Run::TakeCheckpoint.
struct AnswerCheckpoint {
  CheckpointAnswer answer;
  absl::StatusOr<CheckpointTaken> taken;
};
// The history has changed: later lives of the run are to start with this one.
struct KeepLeaseHistory {
  LeaseHistory history;
};

using RunOutput = std::variant<SendMessage, CloseStream, Progress, Note, CameOrWent, ViewFormed, StepSummary,
                               CheckpointSummary, RecoverySummary, CompleteCheckpoint, AbandonCheckpoint,
                               DeleteSuperseded, AnswerCheckpoint, KeepLeaseHistory>;
using RunOutputs = std::vector<RunOutput>;

// Receives what is meant for participants.
class Outbox {
 public:
  virtual ~Outbox() = default;
  virtual void Send(Connection to, const std::shared_ptr<const CoordinatorMessage>& message) = 0;
  virtual void Close(Connection to, const absl::Status& status) = 0;
};

// Receives what is meant for the disk.
class CheckpointKeeper {
 public:
  virtual ~CheckpointKeeper() = default;
  // Makes the checkpoint in `folder` complete and then reports the result to Run::CheckpointKept, once. After an error
  // no file of the checkpoint is left.
  virtual void Complete(const std::string& folder, Manifest manifest) = 0;
  // Deletes what files a failed checkpoint has.
  virtual void Abandon(const std::string& folder) = 0;
  // Deletes complete checkpoints that are no longer to be kept, never the newest.
  virtual void DeleteSuperseded() = 0;
};

// Who receives a run's outputs. Session calls them under the lock that guards Run, so none of them may block or call
// back into the session. All of them outlive the caller of Deliver.
struct RunReceivers {
  Outbox* outbox = nullptr;
  ProgressSink* progress = nullptr;
  CheckpointKeeper* keeper = nullptr;  // null: the run must take no checkpoints (Run::Options::takes_checkpoints)
  std::function<void(const LeaseHistory&)> keep_lease_history = nullptr;  // null: nobody keeps it
};

// Gives each output to its receiver, in order. Requires: `receivers` has an outbox and a progress sink.
void Deliver(RunOutputs outputs, const RunReceivers& receivers);

}  // namespace arcshard::coordinator
