#pragma once

#include <deque>
#include <functional>
#include <string>
#include <variant>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/participant.h"
#include "common/base/mutex.h"

namespace arcshard::client {

// What the coordinator says to this worker, queued for the training loop. Thread-safe.
class Mailbox final : public ParticipantEvents {
 public:
  using Event = std::variant<Welcome, ViewAnnouncement, Decision, Next>;

  // Called once, by a gRPC thread, when the coordinator's stream ends: lets go whatever waits for peers.
  void OnClose(std::function<void(const absl::Status&)> callback);

  // Waits for the next event. When the stream has ended: its status; Cancelled if it ended in order.
  absl::StatusOr<Event> Await();
  // Waits at most `timeout` for the stream's end. OK: it is still open.
  absl::Status AwaitClosed(absl::Duration timeout);

  absl::Status OnWelcome(const Welcome& welcome) override { return Push(welcome); }
  absl::Status OnView(const ViewAnnouncement& view) override { return Push(view); }
  absl::Status OnDecision(const Decision& decision) override { return Push(decision); }
  absl::Status OnProceed(const Next& next) override { return Push(next); }
  void OnClosed(const absl::Status& status) override;

 private:
  absl::Status Push(Event event);

  Mutex mutex_;
  CondVar changed_;
  std::deque<Event> events_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::function<void(const absl::Status&)> on_close_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::client
