#pragma once

#include <cstdint>
#include <map>

#include "absl/strings/str_cat.h"
#include "common/trace/trace_row.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

// The row of the executor's thread in the trace.
inline constexpr char kExecutorRow[] = "executor";

// Shows in the trace when the executor has nothing to do, and for whom it waits at the beginning of that: some of them
// may be done before it has work again. Used by its thread only.
class ExecutorTrace {
 public:
  ExecutorTrace() = default;
  // The tracer outlives this; null: there is no trace.
  explicit ExecutorTrace(Tracer* tracer) : tracer_(tracer), row_(tracer, kExecutorRow) {}

  // As ShardState::WaitForWork.
  bool WaitForWork(ShardState* state) {
    if (!row_ || state->HasWork()) return state->WaitForWork();
    const Waiting waiting = state->waiting();
    const MonotonicTime begin = row_.Now();
    const bool has_work = state->WaitForWork();
    const MonotonicTime end = row_.Now();
    row_.Add(!waiting.workers.empty()  ? "wait for workers"
             : !waiting.shards.empty() ? "wait for a replay"
                                       : "wait for the coordinator",
             begin, end);
    for (const uint32_t worker : waiting.workers) RowOf(worker).Add("wait", begin, end);
    return has_work;
  }

 private:
  const TraceRow& RowOf(uint32_t worker) {
    return workers_.try_emplace(worker, tracer_, absl::StrCat("wait for worker ", worker)).first->second;
  }

  Tracer* tracer_ = nullptr;
  TraceRow row_;
  std::map<uint32_t, TraceRow> workers_;  // rows of those that were waited for
};

}  // namespace arcshard::shard
