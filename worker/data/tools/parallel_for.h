#pragma once

#include <algorithm>
#include <atomic>
#include <cassert>
#include <cstdint>
#include <thread>
#include <vector>

namespace arcshard::worker {

// Calls work(thread, i) once for every i in [0, count), in any order, from `threads` threads, numbered from 0.
// Requires: threads >= 1.
template <typename Work>
void ParallelFor(int threads, int64_t count, const Work& work) {
  assert(threads >= 1);
  std::atomic<int64_t> next{0};
  const auto run = [&](int thread) {
    for (int64_t i; (i = next.fetch_add(1, std::memory_order_relaxed)) < count;) work(thread, i);
  };
  std::vector<std::thread> others;
  for (int thread = 1; thread < std::min<int64_t>(threads, count); ++thread) others.emplace_back(run, thread);
  run(0);
  for (std::thread& other : others) other.join();
}

}  // namespace arcshard::worker
