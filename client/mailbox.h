#pragma once

#include <deque>
#include <functional>
#include <optional>
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
  // The stream has ended, with the status of ParticipantEvents::OnClosed.
  struct Closed {
    absl::Status status;
  };
  using Event = std::variant<Welcome, ViewAnnouncement, Decision, Next, Closed>;

  // `clock` outlives the mailbox.
  explicit Mailbox(const Clock* clock) : clock_(clock) {}

  // Calls `callback` once when the coordinator's stream ends, on a gRPC thread and with no lock held; at once if the
  // stream has ended already. This is how the training loop is woken while it waits for a shard or another worker.
  void OnClose(std::function<void(const absl::Status&)> callback);

  // Calls `callback` whenever the coordinator says to proceed to the stop, after that event was queued; on a gRPC
  // thread and with no lock held. This is how the training loop is woken while it evaluates with other workers. Set it
  // before the participant attends.
  void OnStop(std::function<void()> callback);

  // Waits for the next event; nullopt: none had arrived by `deadline`. The last event is Closed, which is then returned
  // every time. An end with an error overtakes the messages before it, which cannot be acted on any more.
  std::optional<Event> Await(MonotonicTime deadline = MonotonicTime::InfiniteFuture());

  // The next event, if that is a Proceed; does not wait. While the training loop evaluates, no other message fits.
  std::optional<Next> TakeProceed();

  // Whether the coordinator's stream has ended; does not wait.
  bool closed() const;

  absl::Status OnWelcome(const Welcome& welcome) override { return Push(welcome); }
  absl::Status OnView(const ViewAnnouncement& view) override { return Push(view); }
  absl::Status OnDecision(const Decision& decision) override { return Push(decision); }
  absl::Status OnProceed(const Next& next) override;
  void OnClosed(const absl::Status& status) override;

 private:
  absl::Status Push(Event event);

  const Clock* const clock_;
  mutable Mutex mutex_;
  CondVar changed_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
  std::optional<absl::Status> closed_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void(const absl::Status&)>> on_close_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_stop_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::client
