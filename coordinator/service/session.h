#pragma once

#include <map>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/rpc/stream.h"
#include "coordinator/run/run.h"

namespace arcshard::coordinator {

// A run that many threads speak to: the one lock around Run, and the streams of its participants. Thread-safe; never
// blocks, but for AwaitEnd. Lock order: this one's lock, then those of streams and of what the sink locks.
class Session final : private Outbox {
 public:
  using Stream = StreamSender<CoordinatorMessage>;

  // `sink` gets what Run reports, under the lock. Both outlive the session.
  Session(Run::Options options, const Clock* clock, ProgressSink* sink);

  // A new stream; what follows names it by the number returned.
  Connection Attach(std::shared_ptr<Stream> stream);
  void Receive(Connection from, const ParticipantMessage& message);
  // A message that could not be read.
  void Refuse(Connection from, const absl::Status& status);
  // The last of a stream. OK: the participant closed it.
  void Detach(Connection from, const absl::Status& status);

  void RequestStop();
  void TakeCheckpoint(Checkpoints::Answer answer);  // called under the lock
  void CheckpointKept(uint64_t step, const absl::Status& status);
  void Tick();
  RunStatus Status();
  // How the run ended, once it has; nothing after `timeout` without an end. Then every stream is closed or closing.
  std::optional<absl::Status> AwaitEnd(absl::Duration timeout);

 private:
  void CloseAllIfEnded() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Called by run_, under the lock.
  void Send(Connection to, const CoordinatorMessage& message) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Close(Connection to, const absl::Status& status) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Mutex mutex_;
  CondVar ended_;
  std::map<Connection, std::shared_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
  Connection last_connection_ ABSL_GUARDED_BY(mutex_) = 0;
  Run run_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::coordinator
