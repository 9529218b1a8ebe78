#pragma once

#include <functional>
#include <thread>

#include "absl/status/status.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

// The one thread that makes a shard's head compute. Finish it before what the state points to goes away.
class Executor {
 public:
  // `on_failure` is called once, by that thread, when the head fails; nothing is computed after it.
  Executor(ShardState* state, std::function<void(const absl::Status&)> on_failure)
      : state_(state), thread_([state, on_failure = std::move(on_failure)] {
          while (state->WaitForWork()) {
            if (absl::Status status = state->RunOne(); !status.ok()) {
              on_failure(status);
              return;
            }
          }
        }) {}
  ~Executor() { Finish(); }
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Returns when the work that the state has is done: a decision that was taken is applied.
  void Finish() {
    state_->Close();
    if (thread_.joinable()) thread_.join();
  }

 private:
  ShardState* const state_;
  std::thread thread_;
};

}  // namespace arcshard::shard
