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
#include "shard_server/head/head.h"

namespace arcshard {

// How workers reach the shards of a ShardCluster.
enum class Transport {
  kInProcess,  // calls of the state machines
  kGrpc,       // Shard.Exchange on loopback, one server for each shard
};

struct ShardClusterOptions {
  std::vector<ClassRange> ranges;  // one shard each, contiguous from 0 to N
  head::HeadOptions head;          // num_classes and range are ignored: `ranges` determines them
  uint32_t workers = 1;            // with ids 0, 1, ...
  uint32_t batch_size = 1;         // most samples in a step
  uint32_t max_in_flight = 4;
  bool deterministic = true;
  View view = {1, 1};
  uint64_t last_decided_step = 0;
  std::string checkpoint = {};  // folder of that step's checkpoint, to restore the rows from; empty: random rows
  std::string run_folder = {};  // where checkpoints are written
};

// The shards of a run without a coordinator: real heads, state machines and executors, for tests that train against
// them and send the decisions themselves. Thread-safe.
class ShardCluster {
 public:
  static absl::StatusOr<std::unique_ptr<ShardCluster>> Start(const ShardClusterOptions& options, Transport transport);
  virtual ~ShardCluster() = default;

  virtual const ViewAnnouncement& view() const = 0;
  // Returns a link from `worker` to one shard, or a client with links to all. `events` must outlive the link.
  virtual absl::StatusOr<std::unique_ptr<client::ShardLink>> Link(uint32_t worker, size_t shard,
                                                                  client::ShardLinkEvents* events) = 0;
  absl::StatusOr<std::unique_ptr<client::HeadClient>> Connect(uint32_t worker);

  // Passes the decision to every shard; returns the first error, if any.
  virtual absl::Status Decide(const Decision& decision) = 0;
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
