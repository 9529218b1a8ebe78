#include "common/metrics/thread_stacks.h"

#include <dlfcn.h>
#include <pthread.h>

#include <algorithm>

// Replaces libc's function, which it calls.
extern "C" __attribute__((visibility("default"))) int pthread_attr_setstacksize(pthread_attr_t* attr,
                                                                                size_t size) noexcept {
  using Function = int (*)(pthread_attr_t*, size_t);
  static const Function libc = reinterpret_cast<Function>(dlsym(RTLD_NEXT, "pthread_attr_setstacksize"));
  return libc(attr, std::max(size, arcshard::kLeastThreadStack));
}

namespace arcshard {

void KeepThreadStacksLarge() {}

}  // namespace arcshard
