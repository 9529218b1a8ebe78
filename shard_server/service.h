#pragma once

#include <cstdint>

#include "arcshard/v1/shard.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/metrics/metric_list.h"
#include "shard_server/shard_state.h"
#include "shard_server/worker_streams.h"

namespace arcshard::shard {

// Shard.Exchange over a ShardState: puts pieces together, checks shapes, makes one call, sends what comes of it.
// Thread-safe.
class ShardService final : public v1::Shard::CallbackService {
 public:
  // `metrics` outlives the service.
  explicit ShardService(ShardMetrics* metrics);

  // From now on messages go to `state`, which outlives the server. Before that a worker may say hello, no more: a
  // worker may know the view before this shard does.
  void Attach(ShardState* state);

  // Any thread, one at a time: brings the metrics that tell what the state holds up to date.
  void ShowLoad(ShardMetrics* metrics);

  // The output's part that goes to workers.
  void SendStatistics(uint32_t worker, const Key& key, const Statistics& statistics);
  void Refuse(uint32_t worker, const absl::Status& why);

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::ShardMessage>* Exchange(grpc::CallbackServerContext* context) override;

 private:
  class Handler;

  ShardState* state() {
    MutexLock lock(&mutex_);
    return state_;
  }
  void CountRefusal(const absl::Status& why);

  LabelledMetric<Counter> refused_;
  Counter& received_;
  Counter& received_bytes_;
  Counter& sent_;
  Counter& sent_bytes_;
  WorkerStreams streams_;
  Mutex mutex_;
  ShardState* state_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace arcshard::shard
