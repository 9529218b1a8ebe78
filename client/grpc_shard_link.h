#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/shard_link.h"
#include "common/metrics/metric_list.h"
#include "common/rpc/security/security.h"

namespace arcshard::client {

struct ShardLinkOptions {
  size_t shard = 0;     // position in the view's shards; passed to the events
  std::string address;  // host:port
  Security security;    // of the connection
  uint32_t worker = 0;  // this worker's id
  std::string token;    // proves the id
  int64_t dim = 0;      // D
  View view;
  absl::Duration connect_timeout = absl::Seconds(60);
  ProcessMetrics* metrics = nullptr;  // counts messages and bytes; outlives the link; null: no counting
};

// Opens a ShardLink over Shard.Exchange. Its destructor cancels the stream and waits until `events` is called no more.
// Unavailable: the shard did not answer within connect_timeout.
absl::StatusOr<std::unique_ptr<ShardLink>> ConnectShard(const ShardLinkOptions& options, ShardLinkEvents* events);

}  // namespace arcshard::client
