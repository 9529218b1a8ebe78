#include "shard_server/capacity.h"

#include <unistd.h>

#include <algorithm>
#include <fstream>

namespace arcshard::shard {

int64_t DefaultCapacityBytes() {
  int64_t bytes = static_cast<int64_t>(::sysconf(_SC_PHYS_PAGES)) * ::sysconf(_SC_PAGESIZE);
  int64_t limit = 0;
  // Without a limit the file is absent or says "max".
  if (std::ifstream("/sys/fs/cgroup/memory.max") >> limit && limit > 0) bytes = std::min(bytes, limit);
  return bytes / 2;
}

}  // namespace arcshard::shard
