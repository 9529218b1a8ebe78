#include <string>

#include "ATen/Context.h"
#include "ATen/cuda/CUDAContext.h"
#include "absl/strings/str_cat.h"
#include "c10/cuda/CUDACachingAllocator.h"
#include "c10/cuda/CUDAFunctions.h"
#include "worker/training/all_reduce/reduce_group.h"
#include "worker/training/all_reduce/worker_device.h"

namespace arcshard::worker {

absl::Status UseGpu(int index) {
  try {
    const int count = c10::cuda::device_count_ensure_non_zero();
    if (index >= count) {
      return absl::NotFoundError(absl::StrCat("there is no CUDA device ", index, ": this machine has ", count,
                                              count == 1 ? " (cuda:0)" : ", numbered from 0"));
    }
    c10::cuda::set_device(static_cast<c10::DeviceIndex>(index));
  } catch (const std::exception& error) {
    const std::string what = error.what();
    return absl::NotFoundError(absl::StrCat("no CUDA device can be used: ", what.substr(0, what.find('\n'))));
  }
  at::globalContext().setAllowTF32CuBLAS(false);
  at::globalContext().setAllowTF32CuDNN(false);
  return absl::OkStatus();
}

absl::StatusOr<int64_t> UsedGpuBytes(int index) {
  try {
    const auto [free, all] =
        c10::cuda::CUDACachingAllocator::get()->getMemoryInfo(static_cast<c10::DeviceIndex>(index));
    return static_cast<int64_t>(all - free);
  } catch (const std::exception& error) {
    const std::string what = error.what();
    return absl::InternalError(
        absl::StrCat("cannot tell the memory of CUDA device ", index, ": ", what.substr(0, what.find('\n'))));
  }
}

std::string DeviceIdentity(at::Device device) {
  if (!device.is_cuda()) return "cpu";
  const auto& uuid = at::cuda::getDeviceProperties(device.index())->uuid;
  return std::string(uuid.bytes, sizeof(uuid.bytes));
}

}  // namespace arcshard::worker
