#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "shard_server/head/matrix.h"

namespace arcshard::shard {

struct ReplayRecord;

// The sums over this shard's classes for a micro-batch of B samples, D dimensions (DESIGN §1). A worker adds up those
// of all shards.
struct PartialStatistics {
  absl::Span<const float> z;                  // B
  head::MatrixView<const float> u;            // B×D
  absl::Span<const uint32_t> own_rows;        // samples whose class this shard owns, ascending
  head::MatrixView<const float> own_centers;  // size(own_rows)×D: their unit class centers
};

// Receives what a shard's state has to send and to report.
//
// The executor's thread calls every member, one at a time and without the state's lock, so a member may call the state.
// The memory behind spans and matrix views is valid until the call returns. A call must not wait for the network,
// except RestoreBase. A newer view may be announced during a call: what is said about an older one then comes late, and
// is to be ignored where it arrives.
class ShardOutput {
 public:
  virtual ~ShardOutput() = default;

  // --- Steps

  // Sends statistics to `worker`. If it has no stream they are dropped: it repeats the embedding when it reconnects.
  virtual void SendStatistics(uint32_t worker, const Key& key, const PartialStatistics& statistics) = 0;

  // Refuses a message of `worker` that arrived before its step or view and was accepted to wait. The worker's stream of
  // that view ends with `why`.
  virtual void Refuse(uint32_t worker, const Key& key, const absl::Status& why) = 0;

  // Sends this shard's vote on a step to the coordinator, once for each step of a view: all its messages were received.
  virtual void VoteReady(const ReadyVote& vote) = 0;

  // Makes a checkpoint of the head, which holds the state after `step` and does not change until the call returns.
  // `view`: in which it was asked for; another one may have been announced since.
  virtual void TakeCheckpoint(const View& view, uint64_t step) = 0;

  // The head has carried out a decided step, which was computed here or replayed. The record does not change any more.
  // Comes before Applied or Replayed. An error is final, as one of the head. May wait for the disk.
  virtual absl::Status CarriedOut(const std::shared_ptr<const ReplayRecord>& record) {
    static_cast<void>(record);
    return absl::OkStatus();
  }

  // Reports that the decision about `step` was carried out: class centers and momentum are those after it.
  virtual void Applied(uint64_t step, Outcome outcome) = 0;

  // --- Views

  // Makes the head hold the view's base: the state of its checkpoint, or the first weights. Every row is written anew,
  // whatever the head held. An error is final, as one of the head.
  virtual absl::Status RestoreBase(const ViewAnnouncement& view) = 0;

  // Asks shard `peer` of the view for the records of the steps after `after` up to step `until`. The answer comes by
  // ShardState::Record and ReplayEnded. A later call replaces it, and so does a newer view: then nothing more comes of
  // it.
  virtual void RequestReplay(const ViewAnnouncement& view, uint32_t peer, const StatePoint& after, uint64_t until) = 0;

  // Reports that a record of the replay was carried out, so that the next one may be fetched.
  virtual void Replayed(const StatePoint& after) { static_cast<void>(after); }

  // Tells the coordinator that this shard has joined the view: it holds the view's state, and the step that the view
  // voids is discarded. Once for each view, unless a newer one comes first.
  virtual void Joined(const JoinedReport& report) = 0;

  // Tells the coordinator that no shard is left that could send the records. It decides; this shard waits for a view.
  virtual void LostPeers(const LostPeersReport& report) = 0;
};

}  // namespace arcshard::shard
