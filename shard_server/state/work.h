#pragma once

#include <cstdint>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "shard_server/state/open_step.h"
#include "shard_server/state/replay_record.h"

// The pieces of work of a shard's executor. ShardState chooses one under its lock and carries it out without the lock;
// what the pointers name stays as it is meanwhile.
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
  const ReplayRecord* record = nullptr;
};

struct TakeCheckpoint {
  View view;
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

using Work =
    std::variant<RefuseMessages, ApplyDecision, TakeCheckpoint, ResendStatistics, BeginStep, ForwardGroup, CastVote>;

}  // namespace arcshard::shard
