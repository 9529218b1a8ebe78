#pragma once

#include <functional>
#include <thread>

namespace arcshard::shard {

// Turns SIGINT and SIGTERM into calls of `on_signal`, on a thread of its own. Create it before any other thread, which
// inherit that the signals are blocked; one in a process.
class SignalWatcher {
 public:
  explicit SignalWatcher(std::function<void(int signal)> on_signal);
  ~SignalWatcher();
  SignalWatcher(const SignalWatcher&) = delete;
  SignalWatcher& operator=(const SignalWatcher&) = delete;

 private:
  std::thread thread_;
};

}  // namespace arcshard::shard
