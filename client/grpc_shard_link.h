#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/shard_link.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/wire_type.h"
#include "common/rpc/security/security.h"

namespace arcshard::client {

struct ShardLinkOptions {
  size_t shard = 0;                    // its id; passed to the events
  std::string address;                 // host:port
  Security security;                   // of the connection
  uint32_t worker = 0;                 // this worker's id
  std::string token;                   // proves the id
  int64_t dim = 0;                     // D
  WireType wire = WireType::kFloat32;  // of embeddings and statistics, in both directions
  View view;
  absl::Duration connect_timeout = absl::Seconds(60);
  // Asked several times a second, while it connects, whether to go on; null: it goes on.
  std::function<absl::Status()> check = nullptr;
  ProcessMetrics* metrics = nullptr;  // counts messages and bytes; outlives the link; null: no counting
};

// Opens a ShardLink over Shard.Exchange, on a connection of its own. Its destructor cancels the stream and waits until
// `events` is called no more; nothing of the connection remains then.
// Unavailable: the shard did not answer within connect_timeout; the message names it. Or the status of `check`.
absl::StatusOr<std::unique_ptr<ShardLink>> ConnectShard(const ShardLinkOptions& options, ShardLinkEvents* events);

}  // namespace arcshard::client
