#pragma once

#include <memory>
#include <string>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/protocol/types.h"

namespace arcshard::worker {

// The key-value store through which a view's workers find one another (c10d's TCPStore). Every worker runs one and
// tells the coordinator its address; a view uses that of its lowest-numbered worker.
class Rendezvous {
 public:
  // host: the address to bind to; the system chooses the port. Unavailable: it cannot be bound.
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
  View view;               // names the group: a group belongs to a view and is abandoned with it
  int rank = 0;            // position of this worker in the view
  int size = 1;            // workers of the view
  std::string rendezvous;  // host:port of the lowest-numbered worker's store
  std::string interface;   // the address of this host that the group's connections bind to
  absl::Duration timeout = absl::Minutes(5);
  at::Device device = at::kCPU;  // of this worker
};

class ReduceGroup;

// The workers' sum over one view: c10d with NCCL where each worker of the view has a GPU of its own, else with Gloo. A
// group of one needs no peers and sums nothing.
//
// Gloo cannot abort a pending reduction, it only waits out its timeout. So each reduction runs on a buffer of its own,
// Abort lets the waiting thread go, and what is pending keeps group and buffer until it has ended.
//
// Sum is called by one thread, Abort by any.
class AllReduce {
 public:
  // Waits for the other workers of the view. Unavailable: one of them did not come within the timeout.
  static absl::StatusOr<std::unique_ptr<AllReduce>> Connect(const AllReduceOptions& options);
  ~AllReduce();

  // `values`: 1-D float32, contiguous, of the same length on every worker, on any device, where the sum will be too; it
  // is left as it is. Returns the sum over
  // the workers, the same bits on each. Unavailable: a peer is lost. Or what Abort was given.
  absl::StatusOr<at::Tensor> Sum(const at::Tensor& values);

  // Ends a Sum in progress and every later one with `status`. The first status stays.
  void Abort(const absl::Status& status);

 private:
  struct State;  // shared with what is pending
  explicit AllReduce(std::unique_ptr<ReduceGroup> group);
  std::unique_ptr<ReduceGroup> group_;  // null for a group of one
  const std::shared_ptr<State> state_;
};

}  // namespace arcshard::worker
