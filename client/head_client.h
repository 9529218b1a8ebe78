#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/shard_link.h"
#include "common/base/clock.h"
#include "common/base/monotonic_time.h"
#include "common/base/mutex.h"
#include "common/metrics/metrics.h"
#include "common/trace/trace_row.h"

namespace arcshard::client {

// The sums of all shards for one micro-batch.
struct SummedStatistics {
  std::vector<float> z;            // B
  std::vector<float> u;            // B×D
  std::vector<float> own_centers;  // B×D
};

// For whom a worker waits.
struct Waiting {
  std::vector<uint32_t> shards;  // ids, in the order of their ranges; empty: it waits for none
  MonotonicTime since;           // when this wait began; without meaning if it waits for none
};

// A worker's access to the whole class matrix: sends to every shard and adds their answers up. The answers are added in
// the order of the shards' ranges, in whatever order they arrive, so that a repeated run gives the same bits.
//
// One thread, the training loop's, sends and awaits; the links report on their own threads; any thread may call Abort,
// waiting and lost.
class HeadClient final : public ShardLinkEvents {
 public:
  // dim: D. in_flight: set to the number of micro-batches that lack statistics; null: not needed. Both pointers outlive
  // the client. Requires that all links are added before the first send, in the order of the shards' ranges.
  HeadClient(int64_t dim, const Clock* clock, Gauge* in_flight = nullptr)
      : dim_(dim), clock_(clock), in_flight_(in_flight) {}

  // shard: its id, with which the link reports. waits: of the trace, for the times that Await waits for this shard.
  void AddLink(uint32_t shard, std::unique_ptr<ShardLink> link, const TraceRow& waits = TraceRow()) {
    links_.push_back({shard, std::move(link), waits});
  }

  void SendLabels(const Key& key, absl::Span<const int64_t> labels);
  // embedding: B×D. Await(key) returns its statistics later.
  void SendEmbedding(const Key& key, absl::Span<const float> embedding);
  void SendGradient(const Key& key, absl::Span<const float> r, absl::Span<const float> t);

  // Waits for all shards' statistics of a micro-batch. Call once for each embedding that was sent (else Internal).
  // Unavailable: a shard is lost; names it. DataLoss: the shards' answers do not fit together. Or the status of Abort.
  absl::StatusOr<SummedStatistics> Await(const Key& key);

  // Ends every Await, now and later, with `status`. The first status stays. Requires that it is not OK.
  void Abort(const absl::Status& status);

  // Which shards Await is waiting for now.
  Waiting waiting() const;

  // The ids of the shards whose links are lost, in the order of the losses. If there are any, and nothing else has
  // aborted the client before, Await returns the first loss.
  std::vector<uint32_t> lost() const;

  void OnStatistics(size_t shard, const Key& key, ShardStatistics* statistics) override;
  void OnLost(size_t shard, const absl::Status& status) override;

 private:
  struct Pending {
    Key key;
    size_t batch = 0;
    size_t missing = 0;                   // shards that have not answered yet
    std::vector<ShardStatistics> shards;  // in the order of links_
    std::vector<bool> answered;
  };

  struct Link {
    uint32_t shard;
    std::unique_ptr<ShardLink> link;
    TraceRow waits;
  };

  void AbortWith(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ShowInFlight() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const int64_t dim_;
  const Clock* const clock_;
  Gauge* const in_flight_;

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<uint32_t, std::unique_ptr<Pending>> pending_ ABSL_GUARDED_BY(mutex_);  // by micro-batch
  size_t unanswered_ ABSL_GUARDED_BY(mutex_) = 0;                        // entries of pending_ that lack an answer
  std::vector<std::unique_ptr<Pending>> spare_ ABSL_GUARDED_BY(mutex_);  // reused for their buffers
  const Pending* awaited_ ABSL_GUARDED_BY(mutex_) = nullptr;             // of which Await waits
  MonotonicTime awaited_since_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::vector<uint32_t> lost_ ABSL_GUARDED_BY(mutex_);

  std::vector<Link> links_;  // destroyed first, since their threads call this object
};

}  // namespace arcshard::client
