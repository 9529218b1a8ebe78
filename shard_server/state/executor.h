#pragma once

#include <functional>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "shard_server/state/executor_trace.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

// The one thread on which a shard's head computes. Call Finish before destroying the head or the output of the state;
// afterwards another Executor may go on with the state.
class Executor {
 public:
  // When the head fails, that thread calls `on_failure` once and ends.
  Executor(ShardState* state, std::function<void(const absl::Status&)> on_failure,
           const ExecutorTrace& trace = ExecutorTrace())
      : state_(state) {
    state_->Reopen();
    thread_ = std::thread([state, on_failure = std::move(on_failure), trace = trace]() mutable {
      while (trace.WaitForWork(state)) {
        if (absl::Status status = state->RunOne(); !status.ok()) {
          on_failure(status);
          return;
        }
      }
    });
  }
  ~Executor() { Finish(); }
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  // Closes the state and returns when its work is done: the last decision is applied then.
  void Finish() {
    state_->Close();
    if (thread_.joinable()) thread_.join();
  }

 private:
  ShardState* const state_;
  std::thread thread_;
};

}  // namespace arcshard::shard
