#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/base/class_range.h"

// The protocol's values without protobuf: what coordinator, shard and worker decide with. common/rpc converts them.
namespace arcshard {

// A membership and its class ranges (DESIGN §3). Ordered: the incarnation counts the coordinator's starts.
struct View {
  uint64_t incarnation = 0;
  uint64_t counter = 0;
  friend auto operator<=>(const View&, const View&) = default;
  friend bool operator==(const View&, const View&) = default;
};

// What every mutating message carries. Steps count from 1, micro-batches of a step and attempts from 0.
struct Key {
  View view;
  uint64_t step = 0;
  uint32_t micro_batch = 0;
  uint32_t attempt = 0;
  friend bool operator==(const Key&, const Key&) = default;
};

inline std::string ToString(const View& view) { return absl::StrCat("view ", view.incarnation, ".", view.counter); }
inline std::string ToString(const Key& key) {
  return absl::StrCat(ToString(key.view), ", step ", key.step, ", micro-batch ", key.micro_batch, ", attempt ",
                      key.attempt);
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

// What follows a decision (or an evaluation).
enum class NextAction { kStep, kEvaluate, kStop };

struct Next {
  NextAction action = NextAction::kStop;
  StepPlan plan;            // of the next step, with kStep
  bool checkpoint = false;  // before that: the state as it is now becomes a checkpoint
  friend bool operator==(const Next&, const Next&) = default;
};

enum class Outcome { kCommit, kSkip };

// The coordinator's word about step `step`: everybody applies it or nobody does. That of the view's last_decided_step,
// a commit of nothing, starts the run.
struct Decision {
  View view;
  uint64_t step = 0;
  Outcome outcome = Outcome::kCommit;
  double lr = 0.0;  // of `step`
  Next next;
  friend bool operator==(const Decision&, const Decision&) = default;
};

struct ShardMember {
  uint32_t id = 0;
  std::string address;  // host:port of its gRPC server
  ClassRange range;
  friend bool operator==(const ShardMember&, const ShardMember&) = default;
};

struct WorkerMember {
  uint32_t id = 0;
  std::string rendezvous;  // host:port of its TCPStore; the lowest-numbered worker's is the group's
  std::string token = {};  // of the worker; told to shards alone
  friend bool operator==(const WorkerMember&, const WorkerMember&) = default;
};

// The (worker, attempt) that stands for a micro-batch of the undecided step.
struct Standing {
  uint32_t micro_batch = 0;
  uint32_t worker = 0;
  uint32_t attempt = 0;
  friend bool operator==(const Standing&, const Standing&) = default;
};

struct ViewAnnouncement {
  View view;
  int64_t num_classes = 0;            // N
  std::vector<ShardMember> shards;    // by range: begin ascending
  std::vector<WorkerMember> workers;  // by id ascending
  std::vector<Standing> standing;     // of the undecided step; empty in a run's first view
  uint64_t last_decided_step = 0;
  std::string checkpoint = {};  // folder that everybody restores the state after that step from; empty: step 0
  friend bool operator==(const ViewAnnouncement&, const ViewAnnouncement&) = default;
};

// Who computes a micro-batch: position in `workers` of a view, a pure function of (view, micro-batch).
inline size_t WorkerOfMicroBatch(uint32_t micro_batch, size_t num_workers) { return micro_batch % num_workers; }

}  // namespace arcshard
