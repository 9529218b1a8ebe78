#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/shard_link.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/protocol/types.h"
#include "common/protocol/wire_type.h"
#include "shard_server/head/head.h"
#include "shard_server/state/executor.h"
#include "shard_server/state/shard_output.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::cli {

// A shard of a view in this process: the head, state machine and executor of arcshard-shard, and links in place of
// gRPC. It takes its first rows from a head that holds more classes. Thread-safe.
class RerunShard final : private shard::ShardOutput {
 public:
  // What the pointers name outlives the shard.
  struct Options {
    head::HeadOptions head;
    shard::ShardOptions state;
    WireType wire = WireType::kFloat32;  // as what the run's shards have sent their statistics
    const head::Head* whole = nullptr;   // holds the view's state, until Join returns
  };
  // Errors are those of Head::Create.
  static absl::StatusOr<std::unique_ptr<RerunShard>> Create(const Options& options);
  ~RerunShard() override;

  // Joins the view, the only one, whose base is its state. Errors as of ShardState::JoinView, and of the copy.
  absl::Status Join(const ViewAnnouncement& view);

  // A link from `worker`, for whose client this is shard number `index`. `events` and the shard outlive it.
  std::unique_ptr<client::ShardLink> Link(uint32_t worker, size_t index, client::ShardLinkEvents* events);

  // Computes the step of `plan`. Errors as of ShardState::Install and Proceed.
  absl::Status Begin(const View& view, const StepPlan& plan);
  // Waits for the shard's vote, and until it has carried out the decision. Errors as of ShardState::Decide, and that of
  // the executor.
  absl::Status Decide(const Decision& decision);

 private:
  class InProcessLink;

  RerunShard(const Options& options, std::unique_ptr<head::Head> head);

  void SendStatistics(uint32_t worker, const Key& key, const shard::PartialStatistics& statistics) override;
  void Refuse(uint32_t worker, const Key& key, const absl::Status& why) override;
  void VoteReady(const ReadyVote& vote) override;
  void TakeCheckpoint(const View& view, uint64_t step) override;
  void Applied(uint64_t step, Outcome outcome) override;
  absl::Status RestoreBase(const ViewAnnouncement& view) override;
  void RequestReplay(const ViewAnnouncement& view, uint32_t peer, const StatePoint& after, uint64_t until) override;
  void Joined(const JoinedReport& report) override;
  void LostPeers(const LostPeersReport& report) override;

  void Fail(const absl::Status& status);
  void Unlink(uint32_t worker);

  const Options options_;
  const std::unique_ptr<head::Head> head_;
  Mutex mutex_;
  CondVar changed_;
  // By worker; called with the lock.
  std::map<uint32_t, std::pair<size_t, client::ShardLinkEvents*>> listeners_ ABSL_GUARDED_BY(mutex_);
  bool joined_ ABSL_GUARDED_BY(mutex_) = false;
  bool installed_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t voted_ ABSL_GUARDED_BY(mutex_) = 0;    // the last step
  uint64_t applied_ ABSL_GUARDED_BY(mutex_) = 0;  // the last step
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
  shard::ShardState state_;
  std::optional<shard::Executor> executor_;  // after Join; destroyed first
};

}  // namespace arcshard::cli
