#include "client/mailbox.h"

#include <cassert>
#include <utility>

namespace arcshard::client {
namespace {

bool Interrupts(const Mailbox::Event& event) {
  return std::holds_alternative<ViewAnnouncement>(event) || std::holds_alternative<Mailbox::Detached>(event);
}

}  // namespace

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

void Mailbox::OnInterrupt(std::function<void()> callback) {
  MutexLock lock(&mutex_);
  on_interrupt_ = std::move(callback);
}

void Mailbox::OnStop(std::function<void()> callback) {
  MutexLock lock(&mutex_);
  on_stop_ = std::move(callback);
}

std::optional<Mailbox::Event> Mailbox::Await(MonotonicTime deadline) {
  MutexLock lock(&mutex_);
  while (events_.empty() && !closed_.has_value()) {
    if (clock_->Now() >= deadline) return std::nullopt;
    clock_->WaitUntil(deadline, &mutex_, &changed_);
  }
  if (closed_.has_value() && (!closed_->ok() || events_.empty())) return Closed{*closed_};
  return Pop();
}

std::optional<Proceed> Mailbox::TakeProceed() {
  MutexLock lock(&mutex_);
  if (events_.empty() || !std::holds_alternative<Proceed>(events_.front())) return std::nullopt;
  return std::get<Proceed>(Pop());
}

bool Mailbox::interrupted() const {
  MutexLock lock(&mutex_);
  return interruptions_ > 0 || closed_.has_value();
}

bool Mailbox::closed() const {
  MutexLock lock(&mutex_);
  return closed_.has_value();
}

absl::Status Mailbox::OnView(const ViewAnnouncement& view) {
  Push(view);
  Interrupt();
  return absl::OkStatus();
}

absl::Status Mailbox::OnProceed(const Proceed& proceed) {
  Push(proceed);
  if (proceed.next.action != NextAction::kStop) return absl::OkStatus();
  std::function<void()> on_stop;
  {
    MutexLock lock(&mutex_);
    on_stop = on_stop_;
  }
  if (on_stop) on_stop();
  return absl::OkStatus();
}

void Mailbox::OnDetached(const absl::Status& why) {
  Push(Detached{why});
  Interrupt();
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
  Interrupt();
  for (const auto& callback : callbacks) callback(status);
}

void Mailbox::Push(Event event) {
  MutexLock lock(&mutex_);
  assert(!closed_.has_value());
  if (Interrupts(event)) ++interruptions_;
  events_.push_back(std::move(event));
  changed_.NotifyAll();
}

Mailbox::Event Mailbox::Pop() {
  Event event = std::move(events_.front());
  events_.pop_front();
  if (Interrupts(event)) --interruptions_;
  return event;
}

void Mailbox::Interrupt() {
  std::function<void()> on_interrupt;
  {
    MutexLock lock(&mutex_);
    on_interrupt = on_interrupt_;
  }
  if (on_interrupt) on_interrupt();
}

}  // namespace arcshard::client
