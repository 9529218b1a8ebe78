#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/types.h"
#include "common/rpc/security/security.h"
#include "shard_server/replay/record_receiver.h"
#include "shard_server/state/log/replay_record.h"

namespace arcshard::shard {

// Which records a shard asks another one for (shard.proto, ReplayRequest).
struct ReplayOrder {
  View view;
  uint32_t shard = 0;   // who asks
  std::string token;    // its own in the view
  uint32_t peer = 0;    // who is asked
  std::string address;  // of the peer, host:port
  StatePoint after;
  uint64_t until = 0;  // the last step
  RecordLimits limits;
};

// Gets records from other shards by Shard.Replay, from one at a time. Reading pauses while kMostAhead records have been
// passed on that are not applied yet, so that a fast peer does not fill this shard's memory. Thread-safe; never blocks,
// except its destructor.
class ReplayClient {
 public:
  static constexpr uint64_t kMostAhead = 2;

  struct Options {
    Security security;                  // of the connections
    ProcessMetrics* metrics = nullptr;  // counts messages and bytes; outlives the client; null: no counting
    // Takes the next record; an error ends the replay. Both are called by gRPC's threads with the client's lock held,
    // so they must not call the client.
    std::function<absl::Status(const View&, std::shared_ptr<const ReplayRecord>)> on_record;
    // Called once for each order, unless another one or Cancel came first. OK: all records of the order were passed on.
    // Unavailable: the peer is gone. The codes of Shard.Replay: it refused. InvalidArgument, DataLoss: it sent what
    // cannot be (RecordReceiver).
    std::function<void(const View&, const absl::Status&)> on_ended;
  };

  explicit ReplayClient(Options options);
  // Cancels the order, and waits until gRPC is done with all calls.
  ~ReplayClient();
  ReplayClient(const ReplayClient&) = delete;
  ReplayClient& operator=(const ReplayClient&) = delete;

  // Gives up the order before, if it is not done, and begins this one. When it returns, nothing more is passed on of
  // the one before.
  void Begin(const ReplayOrder& order);

  // The same without another order. Nothing is passed on when it has returned.
  void Cancel();

  // The shard has applied the record of `step`.
  void Applied(uint64_t step);

 private:
  class Call;
  struct Shared;

  const std::shared_ptr<Shared> shared_;
};

}  // namespace arcshard::shard
