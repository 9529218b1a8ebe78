#pragma once

#include <deque>
#include <functional>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/participant.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace arcshard::client {

// Queues the coordinator's messages for a worker's training loop. Thread-safe.
class Mailbox final : public ParticipantEvents {
 public:
  // The connection to the coordinator is lost, as ParticipantEvents::OnDetached says.
  struct Detached {
    absl::Status why;
  };
  // The participant has ended, with the status of ParticipantEvents::OnClosed.
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Welcome, ViewAnnouncement, Install, Decision, Proceed, Detached, Closed>;

  // `clock` outlives the mailbox.
  explicit Mailbox(const Clock* clock) : clock_(clock) {}

  // Calls `callback` once when the participant ends, on one of its threads or of gRPC's and with no lock held; at once
  // if it has ended already.
  void OnClose(std::function<void(const absl::Status&)> callback);

  // Calls `callback` after each event that interrupts (see interrupted) was queued, on one of the participant's threads
  // or of gRPC's and with no lock held. This is how the training loop is woken while it waits for a shard or another
  // worker. By then the loop may have taken the event: ask interrupted(). Set it before the participant attends.
  void OnInterrupt(std::function<void()> callback);

  // Calls `callback` whenever the coordinator says to proceed to the stop, after that event was queued; on a gRPC
  // thread and with no lock held. This is how the training loop is woken while it evaluates with other workers. Set it
  // before the participant attends.
  void OnStop(std::function<void()> callback);

  // Waits for the next event; nullopt: none had arrived by `deadline`. The last event is Closed, which is then returned
  // every time. An end with an error overtakes the messages before it, which cannot be acted on any more.
  std::optional<Event> Await(MonotonicTime deadline = MonotonicTime::InfiniteFuture());

  // The next event, if that is a Proceed; does not wait. While the training loop evaluates, no other message fits but
  // one that interrupts.
  std::optional<Proceed> TakeProceed();

  // Whether an event is queued that makes void what the training loop is computing: another view, the loss of the
  // coordinator, or the end. Does not wait.
  bool interrupted() const;

  // Whether the participant has ended; does not wait.
  bool closed() const;

  absl::Status OnWelcome(const Welcome& welcome) override { return Queue(welcome); }
  absl::Status OnView(const ViewAnnouncement& view) override;
  absl::Status OnInstall(const Install& install) override { return Queue(install); }
  absl::Status OnDecision(const Decision& decision) override { return Queue(decision); }
  absl::Status OnProceed(const Proceed& proceed) override;
  // Workers keep no log that a checkpoint could shorten.
  absl::Status OnCheckpointSettled(const CheckpointSettled&) override { return absl::OkStatus(); }
  void OnDetached(const absl::Status& why) override;
  void OnClosed(const absl::Status& status) override;

 private:
  void Push(Event event);
  absl::Status Queue(Event event) {
    Push(std::move(event));
    return absl::OkStatus();
  }
  Event Pop() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Interrupt();

  const Clock* const clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
  size_t interruptions_ ABSL_GUARDED_BY(mutex_) = 0;  // among events_
  std::optional<absl::Status> closed_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void(const absl::Status&)>> on_close_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_interrupt_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_stop_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::client
