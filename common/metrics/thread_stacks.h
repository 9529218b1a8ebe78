#pragma once

#include <cstddef>

namespace arcshard {

// What a thread gets at least, whatever stack it asks for.
inline constexpr size_t kLeastThreadStack = size_t{1} << 20;

// In a process that links this file pthread_attr_setstacksize gives kLeastThreadStack at least; the call itself does
// nothing. glibc takes the thread-local variables of every library that was loaded at the start out of a thread's
// stack: cuBLAS and its like have 100 KB of them, as much as civetweb's threads, which serve /metrics, ask for in all.
// Then pthread_create fails with EINVAL.
void KeepThreadStacksLarge();

}  // namespace arcshard
