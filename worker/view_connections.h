#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/head_client.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/types.h"
#include "common/rpc/security/security.h"
#include "worker/training/all_reduce.h"

namespace arcshard::worker {

// A worker's connections to the other members of one view: to every shard, and to the other workers. A view's
// connections are never changed; the next view gets new ones.
//
// The training loop uses head() and all_reduce(); Abort may be called by any thread meanwhile.
class ViewConnections {
 public:
  struct Options {
    ViewAnnouncement view;
    size_t position = 0;                                 // of this worker among the view's workers
    uint32_t worker = 0;                                 // its id
    std::string token;                                   // proves to the shards that it is worker `worker`
    int64_t dim = 0;                                     // D
    Security security;                                   // of the connections to the shards
    absl::Duration connect_timeout = absl::Seconds(60);  // for each shard
    std::string interface;                               // address of this host that the all-reduce binds to
    at::Device device = at::kCPU;                        // where the backbone computes
    WorkerMetrics* metrics = nullptr;                    // outlives the connections
  };

  // Connects to the shards in the order of their ranges, then waits for the other workers. Errors of ConnectShard and
  // AllReduce::Connect.
  static absl::StatusOr<std::unique_ptr<ViewConnections>> Connect(const Options& options);

  client::HeadClient* head() { return &head_; }
  AllReduce* all_reduce() { return all_reduce_.get(); }

  // Ends every wait for the other workers, now and later, with `status`. For a worker that is told to stop while it
  // evaluates: the others may have left already.
  void AbortAllReduce(const absl::Status& status) { all_reduce_->Abort(status); }
  // Ends every wait on these connections, now and later, with `status`. The first status stays.
  void Abort(const absl::Status& status);

 private:
  ViewConnections(int64_t dim, Gauge* in_flight) : head_(dim, in_flight) {}

  client::HeadClient head_;
  std::unique_ptr<AllReduce> all_reduce_;
};

}  // namespace arcshard::worker
