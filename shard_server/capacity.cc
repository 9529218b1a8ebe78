#include "shard_server/capacity.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "common/base/status_macros.h"
#include "shard_server/head/gpu.h"

namespace arcshard::shard {

absl::StatusOr<int64_t> DefaultCapacityBytes(const DeviceName& device) {
  if (device.cuda) {
    ASSIGN_OR_RETURN(const int64_t free, head::FreeGpuBytes(device.index));
    return free / 10 * 9;  // the rest is for a batch's buffers
  }
  int64_t bytes = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  int64_t limit = 0;
  // "max" in the file, or no file: no limit.
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && limit > 0) bytes = std::min(bytes, limit);
  return bytes / 2;
}

}  // namespace arcshard::shard
