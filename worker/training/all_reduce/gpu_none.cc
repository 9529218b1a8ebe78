#include "worker/training/all_reduce/reduce_group.h"
#include "worker/training/all_reduce/worker_device.h"

// The functions for GPUs in a build without GPU code.
namespace arcshard::worker {

absl::Status UseGpu(int) {
  return absl::UnimplementedError(
      "this build's workers have no code for GPUs; build with cmake --preset cuda and a LibTorch with CUDA "
      "(scripts/setup --cuda)");
}

absl::StatusOr<int64_t> UsedGpuBytes(int index) { return UseGpu(index); }

std::string DeviceIdentity(at::Device) { return "cpu"; }

std::unique_ptr<ReduceGroup> MakeNcclGroup(const c10::intrusive_ptr<c10d::Store>&, const AllReduceOptions&) {
  return nullptr;
}

}  // namespace arcshard::worker
