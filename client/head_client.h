#pragma once

#include <map>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/shard_link.h"
#include "common/base/mutex.h"
#include "common/metrics/metrics.h"

namespace arcshard::client {

// The sums of all shards for one micro-batch.
struct SummedStatistics {
  std::vector<float> z;            // B
  std::vector<float> u;            // B×D
  std::vector<float> own_centers;  // B×D
};

// The worker's view of the whole class matrix: sends to every shard, adds up what they answer. The shards' answers are
// added in the order of their ranges, whenever they came, so that the same run gives the same bits.
//
// Sends and Await come from one thread, the training loop's; the links answer on theirs; Abort may come from any.
class HeadClient final : public ShardLinkEvents {
 public:
  // dim: D. in_flight: shows how many micro-batches still lack statistics; outlives the client; null: nobody looks.
  // Links are added by AddLink before the first send, in the order of the shards' ranges.
  explicit HeadClient(int64_t dim, Gauge* in_flight = nullptr) : dim_(dim), in_flight_(in_flight) {}

  void AddLink(std::unique_ptr<ShardLink> link) { links_.push_back(std::move(link)); }

  void SendLabels(const Key& key, absl::Span<const int64_t> labels);
  // embedding: B×D. Its statistics are awaited from now on.
  void SendEmbedding(const Key& key, absl::Span<const float> embedding);
  void SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t);

  // Waits for all shards' statistics of a micro-batch that was sent, once. The span of U etc. is the caller's.
  // Whatever Abort was given; Unavailable: a shard is lost, named; DataLoss: the shards' answers do not fit together.
  absl::StatusOr<SummedStatistics> Await(const Key& key);

  // Ends every Await, now and later, with `status`. The first status stays.
  void Abort(const absl::Status& status);

  void OnStatistics(size_t shard, const Key& key, ShardStatistics* statistics) override;
  void OnLost(size_t shard, const absl::Status& status) override;

 private:
  struct Pending {
    Key key;
    size_t batch = 0;
    size_t missing = 0;                   // shards that have not answered
    std::vector<ShardStatistics> shards;  // by shard
    std::vector<bool> answered;
  };

  void ShowInFlight() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t dim_;
  Gauge* const in_flight_;

  Mutex mutex_;
  CondVar changed_;
  std::map<uint32_t, std::unique_ptr<Pending>> pending_ ABSL_GUARDED_BY(mutex_);  // by micro-batch
  size_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;                        // of pending_, those that miss a shard
  std::vector<std::unique_ptr<Pending>> spare_ ABSL_GUARDED_BY(mutex_);  // their buffers are used again
  absl::Status status_ ABSL_GUARDED_BY(mutex_);

  std::vector<std::unique_ptr<ShardLink>> links_;  // first to go: until then their threads call this
};

}  // namespace arcshard::client
