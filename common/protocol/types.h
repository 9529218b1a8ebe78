#pragma once

#include <cassert>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/class_range.h"
#include "common/protocol/run_counters.h"

// The protocol's values, without protobuf. Coordinator, shards and workers make their decisions with them; common/rpc
// converts them to and from messages.
namespace arcshard {

// Identifies a membership and its class ranges (DESIGN §3). Views are ordered; the incarnation counts the coordinator's
// starts.
struct View {
  uint64_t incarnation = 0;
  uint64_t counter = 0;
  friend auto operator<=>(const View&, const View&) = default;
  friend bool operator==(const View&, const View&) = default;
};

// A state of the run: that after `step`, which the decisions with this lineage have led to (lineage.h). Processes with
// the same point hold the same state. Zero: the first weights.
struct StatePoint {
  uint64_t step = 0;
  uint64_t lineage = 0;
  friend bool operator==(const StatePoint&, const StatePoint&) = default;
};

// Every message that changes state carries a Key. Steps count from 1, a step's micro-batches from 0.
struct Key {
  View view;
  uint64_t step = 0;
  uint32_t micro_batch = 0;
  friend bool operator==(const Key&, const Key&) = default;
};

inline std::string ToString(const View& view) { return absl::StrCat("view ", view.incarnation, ".", view.counter); }
inline std::string ToString(const Key& key) {
  return absl::StrCat(ToString(key.view), ", step ", key.step, ", micro-batch ", key.micro_batch);
}

// The samples of one step: a slice of the epoch's permutation, cut into micro-batches in order.
struct StepPlan {
  uint64_t step = 0;
  uint64_t epoch = 0;                       // from 0
  uint64_t first_sample = 0;                // position in the epoch's permutation
  std::vector<uint32_t> micro_batch_sizes;  // samples of each micro-batch
  uint32_t batch_size() const {
    uint32_t sum = 0;
    for (const uint32_t size : micro_batch_sizes) sum += size;
    return sum;
  }
  friend bool operator==(const StepPlan&, const StepPlan&) = default;
};

// What the members do after a decision, or after an evaluation.
enum class NextAction { kStep, kEvaluate, kStop };

struct Next {
  NextAction action = NextAction::kStop;
  StepPlan plan;            // of the next step, with kStep
  bool checkpoint = false;  // before the action, the current state is copied for a checkpoint
  friend bool operator==(const Next&, const Next&) = default;
};

enum class Outcome { kCommit, kSkip };

// The coordinator's decision about step `step`, which all members carry out.
struct Decision {
  View view;
  uint64_t step = 0;
  Outcome outcome = Outcome::kCommit;
  double lr = 0.0;  // learning rate of `step`
  Next next;
  uint64_t lineage = 0;  // of the state after it
  RunCounters counters = {};
  StatePoint after() const { return {step, lineage}; }
  friend bool operator==(const Decision&, const Decision&) = default;
};

struct ShardMember {
  uint32_t id = 0;
  std::string address;  // host:port of its gRPC server
  ClassRange range;
  bool holds = false;      // the view's state, or that of the step before it with all that the last decision needs
  bool has_log = false;    // it holds, and its log has every record from the view's base on
  std::string token = {};  // the shard's; sent only to shards
  friend bool operator==(const ShardMember&, const ShardMember&) = default;
};

struct WorkerMember {
  uint32_t id = 0;
  std::string rendezvous;  // host:port of its TCPStore; the lowest-numbered worker's is the group's
  std::string token = {};  // the worker's; sent only to shards
  bool holds = false;      // as for shards
  friend bool operator==(const WorkerMember&, const WorkerMember&) = default;
};

// A membership, and the state that it goes on from (ADR 0016). It voids the step that was not decided before it.
struct ViewAnnouncement {
  View view;
  int64_t num_classes = 0;                      // N
  std::vector<ShardMember> shards;              // by id, which is also the order of their ranges
  std::vector<WorkerMember> workers;            // by id ascending
  StatePoint state;                             // that all members hold before they join
  std::optional<Decision> last = std::nullopt;  // the one that led to `state`; none: `state` is the base
  StatePoint base;                              // where a rebuilt range begins; never after `state`
  std::string checkpoint = {};                  // folder of the base; empty: the base is the first weights, step 0
  friend bool operator==(const ViewAnnouncement&, const ViewAnnouncement&) = default;
};

// The worker that computes a micro-batch, as a position in the view's `workers`. Requires num_workers > 0.
inline size_t WorkerOfMicroBatch(uint32_t micro_batch, size_t num_workers) {
  assert(num_workers > 0);
  return micro_batch % num_workers;
}

}  // namespace arcshard
