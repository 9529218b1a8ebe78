#include "client/mailbox.h"

#include <utility>

namespace arcshard::client {

void Mailbox::OnClose(std::function<void(const absl::Status&)> callback) {
  MutexLock lock(&mutex_);
  if (closed_) {
    callback(status_);
  } else {
    on_close_ = std::move(callback);
  }
}

absl::StatusOr<Mailbox::Event> Mailbox::Await() {
  MutexLock lock(&mutex_);
  while (events_.empty() && !closed_) changed_.Wait(&mutex_);
  // An end with an error overtakes what was said before: there is nobody left to do it with.
  if (closed_ && (!status_.ok() || events_.empty()))
    return status_.ok() ? absl::CancelledError("the run has ended") : status_;
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

absl::Status Mailbox::AwaitClosed(absl::Duration timeout) {
  MutexLock lock(&mutex_);
  const absl::Time deadline = absl::Now() + timeout;
  while (!closed_) {
    if (!changed_.WaitFor(&mutex_, deadline - absl::Now()) && absl::Now() >= deadline) return absl::OkStatus();
  }
  return status_.ok() ? absl::CancelledError("the run has ended") : status_;
}

void Mailbox::OnClosed(const absl::Status& status) {
  MutexLock lock(&mutex_);
  closed_ = true;
  status_ = status;
  changed_.NotifyAll();
  if (on_close_) on_close_(status_);
}

absl::Status Mailbox::Push(Event event) {
  MutexLock lock(&mutex_);
  events_.push_back(std::move(event));
  changed_.NotifyAll();
  return absl::OkStatus();
}

}  // namespace arcshard::client
