#include "common/base/this_process.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <system_error>

namespace arcshard {
namespace {

using File = std::unique_ptr<std::FILE, int (*)(std::FILE*)>;

File Open(const char* path) { return File(std::fopen(path, "re"), &std::fclose); }

// The number of cores whose time the control group grants, rounded up; 0: no limit, or it cannot be read.
int CoresGranted() {
  long long quota = 0, period = 0;  // microseconds; "max", which means no limit, does not parse
  if (const File file = Open("/sys/fs/cgroup/cpu.max"); file != nullptr) {
    if (std::fscanf(file.get(), "%lld %lld", &quota, &period) != 2) return 0;
  } else {
    const File quota_file = Open("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
    const File period_file = Open("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
    if (quota_file == nullptr || period_file == nullptr) return 0;
    if (std::fscanf(quota_file.get(), "%lld", &quota) != 1) return 0;
    if (std::fscanf(period_file.get(), "%lld", &period) != 1) return 0;
  }
  if (quota <= 0 || period <= 0) return 0;
  return static_cast<int>((quota + period - 1) / period);
}

// The memory in bytes that the control group grants; 0: no limit, or it cannot be read.
int64_t MemoryGranted() {
  long long limit = 0;  // "max", which means no limit, does not parse
  for (const char* const path : {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    const File file = Open(path);
    if (file != nullptr && std::fscanf(file.get(), "%lld", &limit) == 1 && limit > 0) return limit;
  }
  return 0;
}

}  // namespace

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

std::string MachineId() {
  char id[64] = {};
  const File file = Open("/proc/sys/kernel/random/boot_id");
  return file != nullptr && std::fscanf(file.get(), "%63s", id) == 1 ? id : HostName();
}

std::string FolderOfThisProgram() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

uint64_t ResidentBytes() {
  const File file = Open("/proc/self/statm");
  unsigned long long size = 0, resident = 0;  // pages
  if (file == nullptr || std::fscanf(file.get(), "%llu %llu", &size, &resident) != 2) return 0;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

int64_t UsableMemoryBytes() {
  const int64_t bytes = static_cast<int64_t>(sysconf(_SC_PHYS_PAGES)) * sysconf(_SC_PAGESIZE);
  const int64_t granted = MemoryGranted();
  return granted > 0 ? std::min(bytes, granted) : bytes;
}

int UsableCores() {
  cpu_set_t allowed;
  int cores = sched_getaffinity(0, sizeof(allowed), &allowed) == 0 ? CPU_COUNT(&allowed)
                                                                   : static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  if (const int granted = CoresGranted(); granted > 0) cores = std::min(cores, granted);
  return std::max(cores, 1);
}

}  // namespace arcshard
