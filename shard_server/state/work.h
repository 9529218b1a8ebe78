#pragma once

#include <cstdint>
#include <memory>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "shard_server/state/log/replay_record.h"
#include "shard_server/state/rebuild.h"
#include "shard_server/state/step/open_step.h"

// The pieces of work of a shard's executor. ShardState chooses one under its lock and carries it out without the lock;
// what the pointers name stays as it is meanwhile, also when a newer view is announced.
namespace arcshard::shard {

// A message that was accepted to wait, and why it is refused now.
struct Refusal {
  uint32_t worker = 0;
  Key key;
  absl::Status why;
};

struct RefuseMessages {
  std::vector<Refusal> refusals;
};

// Pass 2 of a committed step, or the end of a skipped one.
struct ApplyDecision {
  std::shared_ptr<const ReplayRecord> record;
};

struct TakeCheckpoint {
  View view;          // in which it was asked for
  uint64_t step = 0;  // of whose state it is
};

struct ResendStatistics {
  const OpenStep* step = nullptr;
  uint32_t micro_batch = 0;
};

struct BeginStep {
  uint64_t step = 0;
  absl::Span<const int64_t> labels;  // of all micro-batches where classes are sampled, otherwise none
};

// Pass 1 of a group, and its statistics.
struct ForwardGroup {
  OpenStep* step = nullptr;
  GroupCall* call = nullptr;
};

struct CastVote {
  ReadyVote vote;
};

// What of pass 2 can be done before the decision, until there is other work. The record is complete and undecided.
struct FormGradient {
  const ReplayRecord* record = nullptr;
};

// The end of a step that a new view voids. The buffers of `step` are free afterwards.
struct VoidStep {
  OpenStep* step = nullptr;
};

struct RestoreBase {
  ViewAnnouncement view;
};

struct RequestReplay {
  ViewAnnouncement view;
  Rebuild::Request request;
};

struct ReplayStep {
  std::shared_ptr<const ReplayRecord> record;
};

struct ReportJoined {
  JoinedReport report;
};

struct ReportLostPeers {
  LostPeersReport report;
};

using Work =
    std::variant<RefuseMessages, ApplyDecision, TakeCheckpoint, ResendStatistics, BeginStep, ForwardGroup, CastVote,
                 FormGradient, VoidStep, RestoreBase, RequestReplay, ReplayStep, ReportJoined, ReportLostPeers>;

}  // namespace arcshard::shard
