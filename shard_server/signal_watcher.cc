#include "shard_server/signal_watcher.h"

#include <csignal>
#include <utility>

namespace arcshard::shard {
namespace {

constexpr int kLeave = SIGUSR1;  // ends the thread

sigset_t WatchedSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGINT);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, kLeave);
  return signals;
}

}  // namespace

SignalWatcher::SignalWatcher(std::function<void(int signal)> on_signal) {
  const sigset_t signals = WatchedSignals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  thread_ = std::thread([signals, on_signal = std::move(on_signal)] {
    int signal = 0;
    while (sigwait(&signals, &signal) == 0 && signal != kLeave) on_signal(signal);
  });
}

SignalWatcher::~SignalWatcher() {
  pthread_kill(thread_.native_handle(), kLeave);
  thread_.join();
}

}  // namespace arcshard::shard
