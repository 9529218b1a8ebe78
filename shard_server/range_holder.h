#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/mutex.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "common/rpc/security/security.h"
#include "common/trace/trace_row.h"
#include "shard_server/held_range.h"
#include "shard_server/record/record_keeper.h"
#include "shard_server/replay/replay_client.h"
#include "shard_server/service/shard_service.h"
#include "shard_server/state/executor.h"
#include "shard_server/state/shard_output.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

// What a shard has of a run as long as its number and its range stay the same: the state machine, the range, the thread
// that computes, and the replays that rebuild the range. It connects the state with the coordinator, the workers and
// other shards. For another number or range it is made anew.
//
// Thread-compatible. The executor's thread makes the calls of ShardOutput; gRPC's threads bring the records of a
// replay.
class RangeHolder final : private ShardOutput {
 public:
  // What the pointers name outlives the holder.
  struct Options {
    ShardState::Options state;
    HeldRange::Options range;
    Security security;                // of connections to other shards
    ShardService* service = nullptr;  // calls the state, once it is attached; detach it before the end
    std::function<void(const ParticipantMessage&)> tell;  // sends a message to the coordinator; any thread
    std::function<void(const absl::Status&)> on_failure;  // the state cannot continue; called once, by the executor
  };

  explicit RangeHolder(Options options);
  ~RangeHolder() override;

  ShardState* state() { return &state_; }

  // Whether `view` gives this shard the classes that it holds, or it holds none yet.
  bool Fits(const ViewAnnouncement& view) const;

  // Enters a view, whose state the executor then brings about; JoinedReport follows. Errors as of HeldRange::Create and
  // ShardState::JoinView; it takes only a view that Fits.
  absl::Status Join(const ViewAnnouncement& view);

  // After next = stop in `view`: does all work, and writes the class centers into the run's folder. A further view may
  // follow. False: a later coordinator has the folder, so that this is not the run's end; nothing was written.
  // Errors: that of the executor, if it failed, and those of SaveClassCenters.
  absl::StatusOr<bool> Finish(const View& view);

 private:
  void SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics) override;
  void Refuse(uint32_t worker, const Key& key, const absl::Status& why) override;
  void VoteReady(const ReadyVote& vote) override;
  void TakeCheckpoint(const View& view, uint64_t step) override;
  absl::Status CarriedOut(const std::shared_ptr<const ReplayRecord>& record) override;
  void Applied(uint64_t step, Outcome outcome) override;
  absl::Status RestoreBase(const ViewAnnouncement& view) override;
  void RequestReplay(const ViewAnnouncement& view, uint32_t peer, const StatePoint& after, uint64_t until) override;
  void Replayed(const StatePoint& after) override;
  void Joined(const JoinedReport& report) override;
  void LostPeers(const LostPeersReport& report) override;

  void Fail(const absl::Status& status);

  const Options options_;
  ShardMetrics* const metrics_;
  const TraceRow row_;
  Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);  // of the executor
  // Each calls the ones before it, and is destroyed before them.
  std::unique_ptr<RecordKeeper> records_;  // null without run.record
  std::unique_ptr<HeldRange> range_;
  ShardState state_;
  ReplayClient replay_;
  std::unique_ptr<Executor> executor_;
};

}  // namespace arcshard::shard
