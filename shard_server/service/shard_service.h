#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "arcshard/v1/shard.grpc.pb.h"
#include "common/base/mutex.h"
#include "common/metrics/metric_list.h"
#include "common/metrics/traffic.h"
#include "common/rpc/admission/known_peers.h"
#include "common/rpc/admission/waiting_room.h"
#include "common/rpc/security/repeat_filter.h"
#include "shard_server/service/worker_streams.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

// Serves Shard.Exchange: assembles tensors from their pieces, checks shapes, passes each message to a ShardState, and
// sends statistics and refusals to the workers. Thread-safe.
class ShardService final : public v1::Shard::CallbackService {
 public:
  // `metrics` outlives the service.
  explicit ShardService(ShardMetrics* metrics);

  // How many workers the run has; so many may wait for the view with their hello sent.
  void ExpectWorkers(uint32_t workers);
  // From now on messages are passed to `state`, which outlives the server.
  void Attach(ShardState* state);
  // Sets the view's workers: from now on a hello has to carry its worker's token. Before that a worker may send its
  // hello, because it may know the view earlier than this shard, but no other message. InvalidArgument: a worker has no
  // token.
  absl::Status Admit(const ViewAnnouncement& view);

  // Updates the metrics of the state's load. Any thread, one at a time.
  void ShowLoad(ShardMetrics* metrics);

  // The connections of workers whose token has proven them.
  KnownPeers* known_peers() { return &known_peers_; }

  // The parts of ShardOutput that concern workers.
  void SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics);
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
  Traffic received_;
  Traffic sent_;
  KnownPeers known_peers_;
  WaitingRoom unproven_;
  RepeatFilter logged_;
  WorkerStreams streams_;
  Mutex mutex_;
  ShardState* state_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace arcshard::shard
