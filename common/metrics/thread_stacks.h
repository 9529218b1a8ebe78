#pragma once

#include <cstddef>

namespace arcshard {

// The smallest stack of a thread, whatever size is requested.
inline constexpr size_t kLeastThreadStack = size_t{1} << 20;

// Links this file's pthread_attr_setstacksize into the process, which sets at least kLeastThreadStack; the call itself
// does nothing. Reason: glibc places the thread-local variables of all libraries that were loaded at the start in a
// thread's stack. Those of cuBLAS and similar libraries take 100 KB, which is all that civetweb requests for the
// threads that serve /metrics, and pthread_create then fails with EINVAL.
void KeepThreadStacksLarge();

}  // namespace arcshard
