#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/monotonic_time.h"
#include "common/base/mutex.h"
#include "common/protocol/types.h"

namespace arcshard::worker {

struct AllReduceOptions {
  View view;                                           // names the group, which lasts as long as the view
  std::vector<uint32_t> workers = {0};                 // ids of the view's workers, by rank
  int rank = 0;                                        // of this worker: its position in the view
  std::string rendezvous;                              // host:port of the lowest-numbered worker's store
  std::string interface;                               // the address of this host that connections bind to
  absl::Duration connect_timeout = absl::Seconds(60);  // for each process, once it is known to be there
  at::Device device = at::kCPU;                        // of this worker
  const Clock* clock = nullptr;                        // outlives the group; null: waits are not timed
};

class ReduceGroup;

// Sums over the workers of one view, by c10d: with NCCL where each worker has a GPU of its own, otherwise with Gloo. A
// group of one worker needs no connections.
//
// c10d connects by calls that cannot be interrupted, so they are made by a thread of their own. Abort lets the caller
// of Connect go; the thread ends when its call does, after connect_timeout at the latest, and then destroys what it
// made. Of a sum or broadcast that is pending Abort closes the connections, which ends it here and at the other
// workers.
//
// One thread calls Connect, once, and then Sum and Broadcast; any thread may call the rest.
class AllReduce {
 public:
  explicit AllReduce(AllReduceOptions options);
  ~AllReduce();

  // Waits until all workers of the view have called it, for as long as that takes, and connects them. Unavailable: a
  // worker that is there cannot be reached. InvalidArgument: the rendezvous is not host:port. Or the status of Abort.
  absl::Status Connect();

  // `values`: 1-D float32, contiguous, of the same length on every worker, on any device; unchanged. Returns the sum
  // over the workers on the same device, with the same bits on every worker. Unavailable: the connection to a worker is
  // lost. Or the status of Abort. Requires Connect.
  absl::StatusOr<at::Tensor> Sum(const at::Tensor& values);

  // `values`: 1-D float32 or int64, contiguous, of the same length and type on every worker, on any device; unchanged.
  // Returns the values of the worker with rank `root`, bit by bit, on the same device. Errors as Sum.
  absl::StatusOr<at::Tensor> Broadcast(const at::Tensor& values, int root);

  // Ends a call in progress and every later one with `status`. The first status stays. Requires that it is not OK.
  void Abort(const absl::Status& status);

  // The ids of the workers that cannot be reached: all others, where c10d cannot tell which. None: all went well, or
  // only Abort has ended a call.
  std::vector<uint32_t> lost() const;

  // Since when a call has been waiting for other workers; no value: none is.
  std::optional<MonotonicTime> waiting_since() const;

 private:
  struct State;  // shared with what is pending
  using Start = std::function<void(ReduceGroup* group, const at::Tensor& buffer)>;

  absl::StatusOr<at::Tensor> Run(const at::Tensor& values, const Start& start);
  // Waits until nothing is pending, or for Abort.
  absl::Status AwaitPending();
  std::vector<uint32_t> Others() const;  // the ids of all other workers
  ReduceGroup* group() const;

  const AllReduceOptions options_;
  const std::shared_ptr<State> state_;
  mutable Mutex mutex_;
  std::unique_ptr<ReduceGroup> group_ ABSL_GUARDED_BY(mutex_);  // null until Connect, and for a group of one
};

}  // namespace arcshard::worker
