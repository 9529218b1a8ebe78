#pragma once

#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/protocol/types.h"

namespace arcshard::worker {

// The key-value store through which a view's workers find each other (c10d's TCPStore). Every worker runs one and
// reports its address to the coordinator; a view uses the one of its lowest-numbered worker.
class Rendezvous {
 public:
  // host: the address to bind to; the system chooses the port. Unavailable: the address cannot be bound.
  static absl::StatusOr<std::unique_ptr<Rendezvous>> Listen(const std::string& host);
  ~Rendezvous();
  const std::string& address() const { return address_; }  // host:port

 private:
  struct Store;
  Rendezvous(std::string address, std::unique_ptr<Store> store);
  const std::string address_;
  const std::unique_ptr<Store> store_;
};

struct AllReduceOptions {
  View view;               // names the group, which lasts as long as the view
  int rank = 0;            // position of this worker in the view
  int size = 1;            // workers of the view
  std::string rendezvous;  // host:port of the lowest-numbered worker's store
  std::string interface;   // the address of this host that the group's connections bind to
  absl::Duration timeout = absl::Minutes(5);
  at::Device device = at::kCPU;  // of this worker
};

class ReduceGroup;

// Sums over the workers of one view, by c10d: with NCCL where each worker has a GPU of its own, otherwise with Gloo. A
// group of one worker needs no connections.
//
// Gloo cannot abort a pending reduction; it ends when the peers answer or its timeout has passed. Therefore each
// reduction has a buffer of its own, Abort releases only the waiting thread, and the pending reduction keeps the group
// and the buffer alive until it ends.
//
// One thread calls Sum; any thread may call Abort.
class AllReduce {
 public:
  // Waits for the other workers of the view. Unavailable: one of them did not connect within the timeout.
  // InvalidArgument: the rendezvous is not host:port.
  static absl::StatusOr<std::unique_ptr<AllReduce>> Connect(const AllReduceOptions& options);
  ~AllReduce();

  // `values`: 1-D float32, contiguous, of the same length on every worker, on any device; unchanged. Returns the sum
  // over the workers on the same device, with the same bits on every worker. Unavailable: the connection to a worker is
  // lost. Or the status of Abort.
  absl::StatusOr<at::Tensor> Sum(const at::Tensor& values);

  // Ends a Sum in progress and every later one with `status`. The first status stays. Requires that it is not OK.
  void Abort(const absl::Status& status);

 private:
  struct State;  // shared with a pending reduction
  explicit AllReduce(std::unique_ptr<ReduceGroup> group);
  std::unique_ptr<ReduceGroup> group_;  // null for a group of one
  const std::shared_ptr<State> state_;
};

}  // namespace arcshard::worker
