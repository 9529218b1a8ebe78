#include "worker/view_connections.h"

#include <algorithm>
#include <utility>

#include "client/grpc_shard_link.h"
#include "common/base/status_macros.h"

namespace arcshard::worker {

absl::StatusOr<std::unique_ptr<ViewConnections>> ViewConnections::Connect(const Options& options) {
  std::unique_ptr<ViewConnections> connections(
      new ViewConnections(options.dim, &options.metrics->micro_batches_in_flight));
  const ViewAnnouncement& view = options.view;
  for (size_t i = 0; i < view.shards.size(); ++i) {
    client::ShardLinkOptions link;
    link.shard = i;
    link.address = view.shards[i].address;
    link.security = options.security;
    link.worker = options.worker;
    link.token = options.token;
    link.dim = options.dim;
    link.view = view.view;
    link.connect_timeout = options.connect_timeout;
    link.metrics = options.metrics;
    ASSIGN_OR_RETURN(std::unique_ptr<client::ShardLink> connected, client::ConnectShard(link, connections->head()));
    connections->head_.AddLink(std::move(connected));
  }
  AllReduceOptions group;
  group.view = view.view;
  group.rank = static_cast<int>(options.position);
  group.size = static_cast<int>(view.workers.size());
  group.rendezvous = view.workers.front().rendezvous;
  group.interface = options.interface;
  group.device = options.device;
  group.timeout = std::max(options.connect_timeout, absl::Minutes(5));
  ASSIGN_OR_RETURN(connections->all_reduce_, AllReduce::Connect(group));
  return connections;
}

void ViewConnections::Abort(const absl::Status& status) {
  head_.Abort(status);
  all_reduce_->Abort(status);
}

}  // namespace arcshard::worker
