#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/head_client.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "common/protocol/wire_type.h"
#include "shard_server/head/head.h"

namespace arcshard {

// How workers reach the shards of a ShardCluster, and shards each other.
enum class Transport {
  kInProcess,  // calls of the state machines
  kGrpc,       // Shard.Exchange and Shard.Replay on loopback, one server for each shard
};

struct ShardClusterOptions {
  std::vector<ClassRange> ranges;  // one shard each, contiguous from 0 to N
  head::HeadOptions head;          // num_classes and range are ignored: `ranges` determines them
  uint32_t workers = 1;            // with ids 0, 1, ...
  uint32_t batch_size = 1;         // most samples in a step
  uint32_t max_in_flight = 4;
  WireType wire = WireType::kFloat32;  // in process, statistics are rounded as they would be
  bool deterministic = true;
  uint64_t log_bytes = uint64_t{64} << 20;  // of each shard's replay log
  View view = {1, 1};                       // the first one
  StatePoint base;                          // where it begins
  std::string checkpoint = {};              // folder of that state's checkpoint; empty: the first weights
  std::string run_folder = {};              // where checkpoints are written
};

// The shards of a run without a coordinator: real heads, state machines and executors, for tests that train against
// them and say themselves what the coordinator would. Thread-safe, except Restart.
class ShardCluster {
 public:
  // Returns when all shards have joined the first view.
  static absl::StatusOr<std::unique_ptr<ShardCluster>> Start(const ShardClusterOptions& options, Transport transport);
  virtual ~ShardCluster() = default;

  virtual const ViewAnnouncement& view() const = 0;
  // Returns a link from `worker` to one shard, or a client with links to all. `events` must outlive the link.
  virtual absl::StatusOr<std::unique_ptr<client::ShardLink>> Link(uint32_t worker, size_t shard,
                                                                  client::ShardLinkEvents* events) = 0;
  absl::StatusOr<std::unique_ptr<client::HeadClient>> Connect(uint32_t worker);

  // The view goes on with `next`, on every shard. Returns the first error, if any.
  virtual absl::Status Install(const Next& next) = 0;
  // Passes the decision, whose lineage the cluster fills in, to every shard; or to one, where the coordinator dies
  // then. Returns the first error, if any.
  virtual absl::Status Decide(const Decision& decision) = 0;
  virtual absl::Status DecideAt(size_t shard, const Decision& decision) = 0;

  // Announces a further view, which goes on from the state after the last decision, and waits until all shards have
  // joined it. Returns the first error, if any. Workers need new links for it.
  virtual absl::Status Announce(const View& view) = 0;
  // A process dies and another one takes its place, which holds nothing before the next view. Requires: no link to it
  // is left.
  virtual absl::Status Restart(size_t shard) = 0;
  // How a shard came by the state of the view.
  virtual JoinedReport JoinedAs(size_t shard) = 0;
  // The checkpoint of `state` is complete, and further views begin there.
  virtual void SetBase(const StatePoint& state, const std::string& checkpoint) = 0;
  // After the last decision.
  virtual StatePoint state() const = 0;

  // Waits for every shard's vote on a step. Returns a vote that is not finite if there is one.
  virtual ReadyVote AwaitVote(uint64_t step) = 0;
  // Waits until every shard has applied the decision of `step`.
  virtual void AwaitApplied(uint64_t step) = 0;
  // Waits for the parts of the checkpoint that the decision of `step` asked for; returns the report of each shard.
  virtual absl::StatusOr<std::vector<CheckpointReport>> AwaitCheckpoint(uint64_t step) = 0;

  // Values of all shards: N×D, and N for the counts. Only after a decision was applied and before the next one.
  virtual std::vector<float> Weights() const = 0;
  virtual std::vector<float> Moment(int moment) const = 0;  // as for Head
  virtual std::vector<uint32_t> Counts() const = 0;         // of each class's AdamW steps
  virtual void SetWeights(const std::vector<float>& weights) = 0;
  virtual void SetMoment(int moment, const std::vector<float>& values) = 0;
};

// Splits N classes into K ranges of very different sizes, none empty if N allows it.
std::vector<ClassRange> UnevenRanges(int64_t num_classes, size_t shards);

}  // namespace arcshard
