#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "torch/csrc/distributed/c10d/Store.hpp"
#include "worker/training/all_reduce/all_reduce.h"

// c10d's process groups behind one interface, for AllReduce. The Make functions and Start functions throw c10d's
// exceptions.
namespace arcshard::worker {

class ReduceGroup {
 public:
  // Is called once, by any thread including the calling one: with OK, or with Unavailable when the connection to a
  // worker is lost. It must not destroy the group.
  using Done = std::function<void(const absl::Status&)>;

  virtual ~ReduceGroup() = default;

  // The device of the tensors that it sums.
  virtual at::Device device() const = 0;

  // Starts to sum `values` over the group, in place.
  virtual void StartSum(const at::Tensor& values, Done done) = 0;
  // Starts to replace `values` by those of the worker with rank `root`, bit by bit.
  virtual void StartBroadcast(const at::Tensor& values, int root, Done done) = 0;

  // Any thread: closes the connections, which ends what is pending soon, here and at the other workers. Blocks for
  // milliseconds at most.
  virtual void Abort() = 0;
};

// For how long the libraries let a sum wait. Others may compute for long, so it ends only what Abort could not end.
inline constexpr absl::Duration kLongestSum = absl::Hours(1);

// Gloo, on the CPU.
std::unique_ptr<ReduceGroup> MakeGlooGroup(const c10::intrusive_ptr<c10d::Store>& store,
                                           const AllReduceOptions& options);

// NCCL, on options.device. Null in a build without GPU code.
std::unique_ptr<ReduceGroup> MakeNcclGroup(const c10::intrusive_ptr<c10d::Store>& store,
                                           const AllReduceOptions& options);

// Identifies a worker's device in the whole cluster: a GPU's UUID, or "cpu".
std::string DeviceIdentity(at::Device device);

// Whether workers on these devices can use NCCL: all on GPUs, and no two of them on the same one.
bool CanUseNccl(absl::Span<const std::string> identities);

}  // namespace arcshard::worker
