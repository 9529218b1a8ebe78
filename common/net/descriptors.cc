#include "common/net/descriptors.h"

#include <sys/resource.h>

#include <algorithm>

namespace arcshard {
namespace {

// Where the system sets no limit: more connections than this machine could serve.
constexpr rlim_t kMostDescriptors = rlim_t{1} << 20;
constexpr rlim_t kLeastReserve = 32;
constexpr rlim_t kMostReserve = 256;

}  // namespace

void RaiseDescriptorLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  const rlim_t wanted = std::min(limit.rlim_max, kMostDescriptors);
  if (wanted <= limit.rlim_cur) return;
  limit.rlim_cur = wanted;
  setrlimit(RLIMIT_NOFILE, &limit);  // if it fails, the limit stays as it was
}

int FirstReservedDescriptor() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return static_cast<int>(kMostDescriptors);  // no limit is known
  const rlim_t all = std::min(limit.rlim_cur, kMostDescriptors);
  const rlim_t reserve = std::min(all, std::clamp(all / 4, kLeastReserve, kMostReserve));
  return static_cast<int>(all - reserve);
}

}  // namespace arcshard
