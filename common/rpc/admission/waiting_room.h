#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "common/base/mutex.h"

namespace arcshard {

// The streams of a service whose sender has not proven who it is. gRPC keeps what has arrived of a message, up to the
// largest size, so a few streams may wait at once; one more ends the oldest. A sender that means it proves itself with
// its first message, at once, and is never the oldest for long. Thread-safe.
class WaitingRoom {
 public:
  using Ticket = uint64_t;

  // proof: what the senders owe, for messages: "Register".
  WaitingRoom(absl::string_view proof, size_t most) : proof_(proof), most_(most) {}

  void SetMost(size_t most) {
    MutexLock lock(&mutex_);
    most_ = most;
  }

  // `end` ends the stream; it is called at most once, in another stream's Enter, without a lock.
  Ticket Enter(std::function<void(const absl::Status&)> end) {
    std::optional<std::function<void(const absl::Status&)>> oldest;
    Ticket ticket = 0;
    size_t most = 0;
    {
      MutexLock lock(&mutex_);
      ticket = ++last_;
      waiting_.emplace(ticket, std::move(end));
      most = most_;
      if (waiting_.size() > most_) oldest = std::move(waiting_.extract(waiting_.begin()).mapped());
    }
    if (oldest.has_value()) {
      (*oldest)(absl::ResourceExhaustedError(
          absl::StrCat("more than ", most, " streams wait for their ", proof_, "; this one has waited longest")));
    }
    return ticket;
  }

  // The sender has proven who it is, or its stream has ended. Nothing happens if it was ended by Enter.
  void Leave(Ticket ticket) {
    MutexLock lock(&mutex_);
    waiting_.erase(ticket);
  }

 private:
  const absl::string_view proof_;
  Mutex mutex_;
  size_t most_ ABSL_GUARDED_BY(mutex_);
  Ticket last_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<Ticket, std::function<void(const absl::Status&)>> waiting_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard
