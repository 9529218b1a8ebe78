#include "client/mailbox.h"

#include <cassert>
#include <utility>

#include "common/base/status_macros.h"

namespace arcshard::client {

void Mailbox::OnClose(std::function<void(const absl::Status&)> callback) {
  absl::Status status;
  {
    MutexLock lock(&mutex_);
    if (!closed_.has_value()) {
      on_close_.push_back(std::move(callback));
      return;
    }
    status = *closed_;
  }
  callback(status);
}

void Mailbox::OnStop(std::function<void()> callback) {
  MutexLock lock(&mutex_);
  on_stop_ = std::move(callback);
}

std::optional<Next> Mailbox::TakeProceed() {
  MutexLock lock(&mutex_);
  if (events_.empty() || !std::holds_alternative<Next>(events_.front())) return std::nullopt;
  const Next next = std::get<Next>(std::move(events_.front()));
  events_.pop_front();
  return next;
}

bool Mailbox::closed() const {
  MutexLock lock(&mutex_);
  return closed_.has_value();
}

absl::Status Mailbox::OnProceed(const Next& next) {
  RETURN_IF_ERROR(Push(next));
  if (next.action != NextAction::kStop) return absl::OkStatus();
  std::function<void()> on_stop;
  {
    MutexLock lock(&mutex_);
    on_stop = on_stop_;
  }
  if (on_stop) on_stop();
  return absl::OkStatus();
}

std::optional<Mailbox::Event> Mailbox::Await(MonotonicTime deadline) {
  MutexLock lock(&mutex_);
  while (events_.empty() && !closed_.has_value()) {
    if (clock_->Now() >= deadline) return std::nullopt;
    clock_->WaitUntil(deadline, &mutex_, &changed_);
  }
  if (closed_.has_value() && (!closed_->ok() || events_.empty())) return Closed{*closed_};
  Event event = std::move(events_.front());
  events_.pop_front();
  return event;
}

void Mailbox::OnClosed(const absl::Status& status) {
  std::vector<std::function<void(const absl::Status&)>> callbacks;
  {
    MutexLock lock(&mutex_);
    assert(!closed_.has_value());
    closed_ = status;
    callbacks.swap(on_close_);
    changed_.NotifyAll();
  }
  for (const auto& callback : callbacks) callback(status);
}

absl::Status Mailbox::Push(Event event) {
  MutexLock lock(&mutex_);
  assert(!closed_.has_value());
  events_.push_back(std::move(event));
  changed_.NotifyAll();
  return absl::OkStatus();
}

}  // namespace arcshard::client
