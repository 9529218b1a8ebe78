#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "coordinator/run/run.h"

namespace arcshard::coordinator {

// A run that many threads use: the one lock around Run, and the streams of its participants. After each input it
// delivers the run's outputs, still under the lock, so that streams see them in order. Thread-safe. Only AwaitEnd
// blocks. Lock order: this lock, then those of the streams and of the receivers.
class Session final : private Outbox {
 public:
  // The sending end of a participant's stream, as StreamSender. A broadcast is the same object for all streams.
  class Stream {
   public:
    virtual ~Stream() = default;
    virtual void Send(const std::shared_ptr<const CoordinatorMessage>& message) = 0;
    virtual void Close(const absl::Status& status) = 0;
  };

  // Receives the run's outputs, except messages, under the lock: nothing here may block or call the session. All
  // outlive it.
  struct Receivers {
    ProgressSink* progress = nullptr;
    CheckpointKeeper* keeper = nullptr;                                     // null: the run takes no checkpoints
    std::function<void(const LeaseHistory&)> keep_lease_history = nullptr;  // null: nobody keeps it
  };

  // Sets `options.takes_checkpoints`. `clock` outlives the session.
  Session(Run::Options options, const Clock* clock, Receivers receivers);

  // Adds a stream and returns its number, by which the calls below name it.
  Connection Attach(std::shared_ptr<Stream> stream);
  // Returns whether the sender is a member of the run now.
  bool Receive(Connection from, const ParticipantMessage& message);
  // A message that could not be decoded.
  void Refuse(Connection from, const absl::Status& status);
  // The stream has ended; nothing follows from it. OK: the participant closed it.
  void Detach(Connection from, const absl::Status& status);

  void RequestStop();
  void TakeCheckpoint(CheckpointAnswer answer);  // `answer` is called under the lock
  void CheckpointKept(uint64_t step, const absl::Status& status);
  void Tick();
  RunStatus Status();
  RunStatus Overview();

  // Returns how the run ended, or nothing if it has not ended within `timeout`. After the end all streams are closed or
  // closing.
  std::optional<absl::Status> AwaitEnd(absl::Duration timeout);

 private:
  // Delivers the outputs of the last input.
  void Drain() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Deliver calls these from Drain, under the lock.
  void Send(Connection to, const std::shared_ptr<const CoordinatorMessage>& message) override
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Close(Connection to, const absl::Status& status) override ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const RunReceivers receivers_;
  Mutex mutex_;
  CondVar ended_;
  std::map<Connection, std::shared_ptr<Stream>> streams_ ABSL_GUARDED_BY(mutex_);
  Connection last_connection_ ABSL_GUARDED_BY(mutex_) = 0;
  Run run_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::coordinator
