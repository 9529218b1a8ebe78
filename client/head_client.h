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

// A worker's access to the whole class matrix: sends to every shard and adds their answers up. The answers are added in
// the order of the shards' ranges, in whatever order they arrive, so that a repeated run gives the same bits.
//
// One thread, the training loop's, sends and awaits; the links report on their own threads; any thread may call Abort.
class HeadClient final : public ShardLinkEvents {
 public:
  // dim: D. in_flight: set to the number of micro-batches that lack statistics; outlives the client; null: not needed.
  // Requires that all links are added before the first send, in the order of the shards' ranges.
  explicit HeadClient(int64_t dim, Gauge* in_flight = nullptr) : dim_(dim), in_flight_(in_flight) {}

  void AddLink(std::unique_ptr<ShardLink> link) { links_.push_back(std::move(link)); }

  void SendLabels(const Key& key, absl::Span<const int64_t> labels);
  // embedding: B×D. Await(key) returns its statistics later.
  void SendEmbedding(const Key& key, absl::Span<const float> embedding);
  void SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t);

  // Waits for all shards' statistics of a micro-batch. Call once for each embedding that was sent (else Internal).
  // Unavailable: a shard is lost; names it. DataLoss: the shards' answers do not fit together. Or the status of Abort.
  absl::StatusOr<SummedStatistics> Await(const Key& key);

  // Ends every Await, now and later, with `status`. The first status stays. Requires that it is not OK.
  void Abort(const absl::Status& status);

  void OnStatistics(size_t shard, const Key& key, ShardStatistics* statistics) override;
  void OnLost(size_t shard, const absl::Status& status) override;

 private:
  struct Pending {
    Key key;
    size_t batch = 0;
    size_t missing = 0;                   // shards that have not answered yet
    std::vector<ShardStatistics> shards;  // by shard
    std::vector<bool> answered;
  };

  void ShowInFlight() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t dim_;
  Gauge* const in_flight_;

  Mutex mutex_;
  CondVar changed_;
  std::map<uint32_t, std::unique_ptr<Pending>> pending_ ABSL_GUARDED_BY(mutex_);  // by micro-batch
  size_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;                        // entries of pending_ that lack an answer
  std::vector<std::unique_ptr<Pending>> spare_ ABSL_GUARDED_BY(mutex_);  // reused for their buffers
  absl::Status status_ ABSL_GUARDED_BY(mutex_);

  std::vector<std::unique_ptr<ShardLink>> links_;  // destroyed first, since their threads call this object
};

}  // namespace arcshard::client
