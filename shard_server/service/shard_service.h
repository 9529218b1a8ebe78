#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "arcshard/v1/shard.grpc.pb.h"
#include "common/metrics/metric_list.h"
#include "common/metrics/traffic.h"
#include "common/protocol/wire_type.h"
#include "common/rpc/admission/known_peers.h"
#include "common/rpc/admission/waiting_room.h"
#include "shard_server/service/attached_state.h"
#include "shard_server/service/replay_streams.h"
#include "shard_server/service/worker_streams.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

// Serves Shard.Exchange: assembles tensors from their pieces, checks shapes, passes each message to a ShardState, and
// sends statistics and refusals to the workers. Serves Shard.Replay from that state's log. Thread-safe.
class ShardService final : public v1::Shard::CallbackService {
 public:
  // `metrics` outlives the service.
  explicit ShardService(ShardMetrics* metrics);

  // How many workers the run has; so many may wait for the view with their hello sent.
  void ExpectWorkers(uint32_t workers);
  // As what embeddings come and statistics go; float32 unless said. Before the first state is attached.
  void SetWireType(WireType type) { wire_ = type; }
  // From now on messages are passed to `state`; null: to none. When it returns, the state before is not used any more.
  void Attach(ShardState* state);
  // Sets the view's members; `own`: this shard's number. From now on a hello has to carry its worker's token, and a
  // replay that of a shard. Before that a worker may send its hello, because it may know the view earlier than this
  // shard, but no other message. InvalidArgument: a member has no token.
  absl::Status Admit(const ViewAnnouncement& view, uint32_t own);
  // The state has joined the view, so other shards may replay its log.
  void Joined(const View& view) { replays_.Joined(view); }

  // The load of the attached state; nullopt: there is none. Any thread.
  std::optional<ShardLoad> load();
  // For whom it waits.
  Waiting waiting();
  // Updates the metrics of the load. Any thread, one at a time.
  void ShowLoad(ShardMetrics* metrics);

  // The connections of workers whose token has proven them.
  KnownPeers* known_peers() { return &known_peers_; }

  // The parts of ShardOutput that concern workers.
  void SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics);
  void Refuse(uint32_t worker, const absl::Status& why);

  grpc::ServerBidiReactor<v1::WorkerMessage, v1::ShardMessage>* Exchange(grpc::CallbackServerContext* context) override;
  grpc::ServerWriteReactor<v1::ReplayPiece>* Replay(grpc::CallbackServerContext* context,
                                                    const v1::ReplayRequest* request) override;

 private:
  class Handler;

  void CountRefusal(const absl::Status& why);

  Tracer* const tracer_;
  LabelledMetric<Counter> refused_;
  Traffic received_;
  Traffic sent_;
  KnownPeers known_peers_;
  WaitingRoom unproven_;
  WireType wire_ = WireType::kFloat32;
  AttachedState state_;
  WorkerStreams streams_;
  ReplayStreams replays_;
  double shown_repeats_ = 0;  // only ShowLoad uses it
};

}  // namespace arcshard::shard
