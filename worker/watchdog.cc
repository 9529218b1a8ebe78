#include "worker/watchdog.h"

#include <cassert>
#include <utility>

namespace arcshard::worker {

Watchdog::Watchdog(Options options) : options_(std::move(options)) {
  assert(options_.clock != nullptr && options_.expired != nullptr);
  thread_ = std::thread([this] { Watch(); });
}

Watchdog::~Watchdog() {
  {
    MutexLock lock(&mutex_);
    stopped_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

void Watchdog::Arm(const absl::Status& status) {
  MutexLock lock(&mutex_);
  if (ended_.has_value()) return;
  ended_ = status;
  deadline_ = options_.clock->Now() + options_.grace;
  changed_.NotifyAll();
}

void Watchdog::Watch() {
  absl::Status status;
  {
    MutexLock lock(&mutex_);
    while (!ended_.has_value() && !stopped_) changed_.Wait(&mutex_);
    while (!stopped_ && options_.clock->Now() < deadline_) options_.clock->WaitUntil(deadline_, &mutex_, &changed_);
    if (stopped_) return;
    status = *ended_;
  }
  options_.expired(status);
}

}  // namespace arcshard::worker
