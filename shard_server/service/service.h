#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "arcshard/v1/shard.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/metrics/metric_list.h"
#include "shard_server/service/worker_streams.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

// Shard.Exchange over a ShardState: puts pieces together, checks shapes, makes one call, sends what comes of it.
// Thread-safe.
class ShardService final : public v1::Shard::CallbackService {
 public:
  // `metrics` outlives the service.
  explicit ShardService(ShardMetrics* metrics);

  // From now on messages go to `state`, which outlives the server.
  void Attach(ShardState* state);
  // The view's workers: from now on a stream is that of the worker whose token its hello carries. Before that a worker
  // may say hello, no more: it may know the view before this shard does. InvalidArgument: a worker has no token.
  absl::Status Admit(const ViewAnnouncement& view);

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
  // Whether this is the worker's token; nullopt: its token is not known yet.
  std::optional<bool> IsTokenOf(uint32_t worker, absl::string_view token);
  void CountRefusal(const absl::Status& why);

  LabelledMetric<Counter> refused_;
  Counter& received_;
  Counter& received_bytes_;
  Counter& sent_;
  Counter& sent_bytes_;
  WorkerStreams streams_;
  Mutex mutex_;
  ShardState* state_ ABSL_GUARDED_BY(mutex_) = nullptr;
  std::map<uint32_t, std::string> tokens_ ABSL_GUARDED_BY(mutex_);  // by worker
};

}  // namespace arcshard::shard
