#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "ATen/core/Tensor.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "torch/csrc/distributed/c10d/Store.hpp"
#include "worker/training/all_reduce.h"

// What an AllReduce sums with: c10d's process groups behind one face. Constructors throw c10d's exceptions.
namespace arcshard::worker {

class ReduceGroup {
 public:
  virtual ~ReduceGroup() = default;

  // Where the tensors that it sums lie.
  virtual at::Device device() const = 0;

  // Starts to sum `values` over the group, in place. `done` is called once, by any thread, which may be this one: with
  // OK, or Unavailable when a peer is lost. It must not destroy the group. Throws what c10d throws.
  virtual void Start(at::Tensor values, std::function<void(const absl::Status&)> done) = 0;

  // Any thread: the group is given up. What is pending may end, or stay until the library's own timeout.
  virtual void Abort() = 0;
};

// Gloo, on the CPU.
std::unique_ptr<ReduceGroup> MakeGlooGroup(const c10::intrusive_ptr<c10d::Store>& store,
                                           const AllReduceOptions& options);

// NCCL, on options.device. Null where this build has no code for GPUs.
std::unique_ptr<ReduceGroup> MakeNcclGroup(const c10::intrusive_ptr<c10d::Store>& store,
                                           const AllReduceOptions& options);

// What tells a worker's device from every other in the cluster: a GPU's UUID, or "cpu".
std::string DeviceIdentity(at::Device device);

// Whether workers on these devices can use NCCL: all on GPUs, and no two of them on the same one.
bool CanUseNccl(absl::Span<const std::string> identities);

}  // namespace arcshard::worker
