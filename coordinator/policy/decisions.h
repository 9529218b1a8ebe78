#pragma once

#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/protocol/messages.h"

// What the coordinator decides, as pure functions of what it knows.
namespace arcshard::coordinator {

// A member's place in a view: its id counts within its role.
struct Seat {
  Role role = Role::kShard;
  uint32_t id = 0;
  friend auto operator<=>(const Seat&, const Seat&) = default;
};

// Whether the view, whose members are in order of their ids, has one with this seat.
bool IsIn(const ViewAnnouncement& view, const Seat& seat);

// How many members a run wants and has.
struct MemberCounts {
  uint32_t shards_wanted = 0, shards_here = 0;
  uint32_t workers_wanted = 0, workers_here = 0;
  uint32_t datasets_here = 0;  // workers that have reported their data set

  bool complete() const { return all_here() && datasets_here == workers_wanted; }
  bool all_here() const { return shards_here == shards_wanted && workers_here == workers_wanted; }
};

// "waiting for 2 of 3 shards and 1 of 2 workers"; empty when nobody is missing.
std::string DescribeWaiting(const MemberCounts& counts);

// A worker's data set, and the worker's name for error messages.
struct NamedDataset {
  std::string who;
  DatasetReport data;
};

// InvalidArgument: no data set can have as many samples or classes as the report says, or has no sample.
absl::Status CheckData(const DatasetReport& data);

// OK when both are the same. InvalidArgument: they differ; the message names both workers and the difference.
absl::Status CheckSameData(const NamedDataset& first, const NamedDataset& second);

// Returns N. `configured` is head.classes; where that is 0, N is the data's. InvalidArgument: the data has more classes
// than configured, or neither gives a number.
absl::StatusOr<int64_t> DecideNumClasses(int64_t configured, int64_t of_data);

struct NamedVote {
  Role role = Role::kWorker;
  uint32_t id = 0;
  std::string who;
  ReadyVote vote = {};
  int64_t pid = 0;
};

struct StepVerdict {
  Outcome outcome = Outcome::kCommit;
  std::string reason;   // of a skip: who, and what was not finite
  int64_t culprit = 0;  // of a skip: the pid of the member that `reason` names
  // The lowest-numbered worker's; all workers report the same.
  double loss = 0.0;
  double target_cosine = 0.0;
  uint64_t corrupt_records = 0;   // over all workers
  bool wants_checkpoint = false;  // a shard's log has reached half of its bound
};

// Commits when every vote and its loss are finite. Otherwise skips, with the reason of the lowest-numbered worker that
// was not finite, or of the lowest-numbered shard if all workers were. Does not depend on the order of `votes`.
StepVerdict DecideStep(absl::Span<const NamedVote> votes);

// Where the run stands when it decides what is next.
struct Standpoint {
  uint64_t step = 0;  // the last decided one
  uint64_t total_steps = 0;
  bool stop_requested = false;
  bool evaluation_due = false;  // never without a verification set
};

// What follows a decision. What follows an evaluation is the same with evaluation_due = false.
NextAction DecideNext(const Standpoint& at);

}  // namespace arcshard::coordinator
