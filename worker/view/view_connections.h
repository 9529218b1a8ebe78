#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/head_client.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "common/protocol/wire_type.h"
#include "common/rpc/security/security.h"
#include "worker/training/all_reduce/all_reduce.h"

namespace arcshard::worker {

// A worker's connections to the other members of one view: to every shard, and to the other workers. A view's
// connections are never changed; the next view gets new ones.
//
// The training loop calls Connect, and then uses head() and all_reduce(); any thread may call the rest meanwhile.
class ViewConnections {
 public:
  struct Options {
    ViewAnnouncement view;
    size_t position = 0;                                 // of this worker among the view's workers
    uint32_t worker = 0;                                 // its id
    std::string token;                                   // proves to the shards that it is worker `worker`
    int64_t dim = 0;                                     // D
    WireType wire = WireType::kFloat32;                  // between this worker and the shards
    Security security;                                   // of the connections to the shards
    absl::Duration connect_timeout = absl::Seconds(60);  // for each process
    std::string interface;                               // address of this host that the all-reduce binds to
    at::Device device = at::kCPU;                        // where the backbone computes
    const Clock* clock = nullptr;                        // outlives the connections, as `metrics` does
    WorkerMetrics* metrics = nullptr;
  };
  explicit ViewConnections(Options options);

  // Connects to the shards in the order of their ranges, then waits for the other workers. Errors of ConnectShard and
  // AllReduce::Connect, or the status of Abort.
  absl::Status Connect();

  client::HeadClient* head() { return &head_; }
  AllReduce* all_reduce() { return &all_reduce_; }

  // Ends every wait for the other workers, now and later, with `status`. For a worker that is told to stop while it
  // evaluates: the others may have left already.
  void AbortAllReduce(const absl::Status& status) { all_reduce_.Abort(status); }
  // Ends every wait on these connections, now and later, with `status`. The first status stays.
  void Abort(const absl::Status& status);

  // Who cannot be reached, if that is why these connections have ended what they were used for with `status`; `view` is
  // not filled in. No value: nobody, or `status` says that something is wrong which another view would not mend.
  std::optional<LostPeersReport> LossBehind(const absl::Status& status) const;

  // For whom the training loop waits, if it waits for other members, and for how long.
  Waiting waiting() const;

 private:
  absl::Status ConnectTo(const ShardMember& shard);

  const Options options_;
  client::HeadClient head_;
  AllReduce all_reduce_;

  mutable Mutex mutex_;
  absl::Status aborted_ ABSL_GUARDED_BY(mutex_);
  std::optional<uint32_t> connecting_ ABSL_GUARDED_BY(mutex_);  // to this shard
  MonotonicTime connecting_since_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint32_t> unreachable_ ABSL_GUARDED_BY(mutex_);  // shards to which Connect did not get
};

}  // namespace arcshard::worker
