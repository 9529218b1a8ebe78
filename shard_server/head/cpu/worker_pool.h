#pragma once

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "common/base/mutex.h"

namespace arcshard::head {

// A fixed number of threads that all run the same function, each with its index. The caller divides the work by index,
// so that the order of every sum is always the same. The calling thread has index 0. BLAS is single-threaded inside.
// Thread-compatible: one Run at a time.
class WorkerPool {
 public:
  explicit WorkerPool(int threads);  // requires at least 1
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  int threads() const { return static_cast<int>(others_.size()) + 1; }

  // Runs work(0) ... work(threads() - 1) in parallel, and returns when all have returned.
  void Run(absl::FunctionRef<void(int)> work);

 private:
  void Loop(int index);

  Mutex mutex_;
  CondVar changed_;
  const absl::FunctionRef<void(int)>* work_ ABSL_GUARDED_BY(mutex_) = nullptr;
  uint64_t round_ ABSL_GUARDED_BY(mutex_) = 0;
  int running_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> others_;
};

}  // namespace arcshard::head
