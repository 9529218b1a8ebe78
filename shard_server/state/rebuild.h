#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "common/base/monotonic_time.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "shard_server/state/log/replay_record.h"

namespace arcshard::shard {

// How a shard comes from the state that its head holds, its point, to that of a view (ADR 0016):
//
//   kRestore ───► kAsk ───► kReplay, kReplay, ··· ───► kDone
//       ▲           │ ▲                │
//       └───────────┘ └────────────────┘
//     the point is in    the peer failed,
//     no peer's log      the next one goes on
//
// A point after the base may lie on the way to the view's state: the log of a peer tells. When all shards with a log
// have failed, the coordinator is told and decides. Pure: whoever owns it does what Next says and reports what came of
// it. What is reached under one view counts under the next one. Thread-compatible.
class Rebuild {
 public:
  enum class Step {
    kWait,     // for records, or for another view
    kDone,     // the point is the view's state
    kRestore,  // the view's base
    kAsk,      // a peer for its records
    kReplay,   // the next record
    kGiveUp,   // report that no peer is left
  };
  struct Request {
    uint32_t peer = 0;
    StatePoint after;
    uint64_t until = 0;  // step
    friend bool operator==(const Request&, const Request&) = default;
  };

  // Of shard `self`, whose embeddings have `dim` dimensions.
  Rebuild(uint32_t self, int64_t dim) : self_(self), dim_(dim) {}

  // A newer view was announced. What was asked for under an older one is forgotten.
  void Enter(const ViewAnnouncement& view);

  // `point`: of the state that is held, nullopt: none.
  Step Next(const std::optional<StatePoint>& point) const;
  // The peer that owes records; no value: none does.
  std::optional<uint32_t> awaited() const { return asked_.has_value() ? std::optional(asked_->peer) : std::nullopt; }

  // Each requires that Next has said so.
  void TakeRestore(MonotonicTime now);
  Request TakeRequest(const StatePoint& point, MonotonicTime now);
  std::shared_ptr<const ReplayRecord> TakeRecord();
  LostPeersReport TakeReport();
  JoinedReport TakeJoined(MonotonicTime now);

  // A record of the peer that was asked last. FailedPrecondition: nothing was asked for in `view`, the step is not the
  // next one, or its lineage does not follow from the record before or is not the view's. InvalidArgument: the record
  // is incomplete. The caller then ends the replay with this error.
  absl::Status Add(const View& view, std::shared_ptr<const ReplayRecord> record);
  // The peer has sent everything that it was asked for, or failed. Ignored if nothing was asked for in `view`.
  void End(const View& view, const absl::Status& status);

 private:
  bool IsOnTheWay(const std::optional<StatePoint>& point) const;
  void Lose(uint32_t peer, absl::string_view why);

  const uint32_t self_;
  const int64_t dim_;
  ViewAnnouncement view_;
  std::vector<uint32_t> peers_;  // with a log, ascending
  size_t next_peer_ = 0;         // those before it have failed
  std::optional<Request> asked_;
  StatePoint received_;                                      // after the last record that came
  std::deque<std::shared_ptr<const ReplayRecord>> records_;  // received, not replayed
  std::optional<StatePoint> unknown_;                        // a point that is in no peer's log
  std::optional<LostPeersReport> lost_;
  bool told_ = false;

  // Since the range began to be rebuilt, maybe under an older view.
  std::optional<MonotonicTime> since_;
  uint64_t replayed_ = 0;
};

}  // namespace arcshard::shard
