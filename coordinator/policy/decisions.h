#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/protocol/messages.h"

// What the coordinator decides, as pure functions of what it knows.
namespace arcshard::coordinator {

// How far the gathering of members has come.
struct Gathering {
  uint32_t shards_wanted = 0, shards_here = 0;
  uint32_t workers_wanted = 0, workers_here = 0;
  uint32_t datasets_here = 0;  // workers that have said what their data holds

  bool complete() const { return all_here() && datasets_here == workers_wanted; }
  bool all_here() const { return shards_here == shards_wanted && workers_here == workers_wanted; }
};

// "waiting for 2 of 3 shards and 1 of 2 workers"; empty when nobody is missing.
std::string DescribeWaiting(const Gathering& gathering);

// A worker's data set, and the worker's name for messages.
struct NamedDataset {
  std::string who;
  DatasetReport data;
};

// OK when both are the same. InvalidArgument: what differs between which workers.
absl::Status CheckSameData(const NamedDataset& first, const NamedDataset& second);

// N. `configured` is head.classes, 0 for what the data says. InvalidArgument: the data has more classes than
// configured, or neither says how many there are.
absl::StatusOr<int64_t> DecideNumClasses(int64_t configured, int64_t of_data);

struct NamedVote {
  Role role = Role::kWorker;
  uint32_t id = 0;
  std::string who;
  ReadyVote vote;
  int64_t pid = 0;
};

struct StepVerdict {
  Outcome outcome = Outcome::kCommit;
  std::string reason;   // of a skip: who, and what was not finite
  int64_t culprit = 0;  // of a skip: the pid of the one that `reason` names
  // Of the lowest-numbered worker: all workers report the same.
  double loss = 0.0;
  double target_cosine = 0.0;
  uint64_t corrupt_records = 0;  // over all workers
};

// Commit when every vote is finite, its loss included; else skip, with the reason of the lowest-numbered worker that
// gave one, or else of the lowest-numbered shard. Does not depend on the order of `votes`.
StepVerdict DecideStep(std::vector<NamedVote> votes);

struct Standpoint {
  uint64_t step = 0;  // decided last
  uint64_t total_steps = 0;
  bool stop_requested = false;
  bool evaluation_due = false;  // and there is something to evaluate on
};

// What follows a decision. After an evaluation the same with evaluation_due = false.
NextAction DecideNext(const Standpoint& at);

}  // namespace arcshard::coordinator
