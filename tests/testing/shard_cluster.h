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
  kInProcess,  // calls into the state machines
  kGrpc,       // Shard.Exchange on loopback, one server a shard
};

struct ShardClusterOptions {
  std::vector<ClassRange> ranges;  // one shard each, contiguous from 0 to N
  head::HeadOptions head;          // its num_classes and range are set from `ranges`
  uint32_t workers = 1;            // with ids 0, 1, ...
  uint32_t batch_size = 1;         // most samples of a step
  uint32_t max_in_flight = 4;
  bool deterministic = true;
  View view = {1, 1};
  uint64_t last_decided_step = 0;
  std::string checkpoint = {};  // folder of the one of that step, which the rows come from; empty: they are drawn
  std::string run_folder = {};  // for checkpoints that are taken
};

// The shards of a run without a coordinator: real heads, state machines and executors, for tests that train against
// them. The test decides. Thread-safe.
class ShardCluster {
 public:
  static absl::StatusOr<std::unique_ptr<ShardCluster>> Start(const ShardClusterOptions& options, Transport transport);
  virtual ~ShardCluster() = default;

  virtual const ViewAnnouncement& view() const = 0;
  // A link from `worker` to one shard, and a client with links to all. `events` must outlive the link.
  virtual absl::StatusOr<std::unique_ptr<client::ShardLink>> Link(uint32_t worker, size_t shard,
                                                                  client::ShardLinkEvents* events) = 0;
  absl::StatusOr<std::unique_ptr<client::HeadClient>> Connect(uint32_t worker);

  // Every shard gets the decision; the first error, if any.
  virtual absl::Status Decide(const Decision& decision) = 0;
  // Waits for every shard's vote about a step; not finite if one is not.
  virtual ReadyVote AwaitVote(uint64_t step) = 0;
  // Waits until every shard has carried out a decision.
  virtual void AwaitApplied(uint64_t step) = 0;
  // Waits for the parts of a checkpoint that the decision about `step` asked for: a report of each shard.
  virtual absl::StatusOr<std::vector<CheckpointReport>> AwaitCheckpoint(uint64_t step) = 0;

  // N×D, and N, of all shards. Only between a decision that was applied and the next one.
  virtual std::vector<float> Weights() const = 0;
  virtual std::vector<float> Moment(int moment) const = 0;  // as Head's
  virtual std::vector<uint32_t> Counts() const = 0;         // of AdamW's steps
  virtual void SetWeights(const std::vector<float>& weights) = 0;
  virtual void SetMoment(int moment, const std::vector<float>& values) = 0;
};

// K ranges over N classes, as different in size as possible while none is empty (where N allows it).
std::vector<ClassRange> UnevenRanges(int64_t num_classes, size_t shards);

}  // namespace arcshard
