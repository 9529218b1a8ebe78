#include "shard_server/head/cpu/worker_pool.h"

#include <cassert>

#include "shard_server/head/cpu/kernels/blas.h"

namespace arcshard::head {

WorkerPool::WorkerPool(int threads) {
  assert(threads >= 1);
  others_.reserve(static_cast<size_t>(threads - 1));
  for (int index = 1; index < threads; ++index) others_.emplace_back([this, index] { Loop(index); });
}

WorkerPool::~WorkerPool() {
  {
    MutexLock lock(&mutex_);
    stopping_ = true;
    changed_.NotifyAll();
  }
  for (std::thread& thread : others_) thread.join();
}

void WorkerPool::Run(absl::FunctionRef<void(int)> work) {
  const SingleThreadedBlas single_threaded;
  {
    MutexLock lock(&mutex_);
    work_ = &work;
    running_ = threads() - 1;
    ++round_;
    changed_.NotifyAll();
  }
  work(0);
  MutexLock lock(&mutex_);
  while (running_ > 0) changed_.Wait(&mutex_);
  work_ = nullptr;
}

void WorkerPool::Loop(int index) {
  const SingleThreadedBlas single_threaded;
  uint64_t done = 0;
  while (true) {
    const absl::FunctionRef<void(int)>* work = nullptr;
    {
      MutexLock lock(&mutex_);
      while (round_ == done && !stopping_) changed_.Wait(&mutex_);
      if (stopping_) return;
      done = round_;
      work = work_;
    }
    (*work)(index);
    MutexLock lock(&mutex_);
    if (--running_ == 0) changed_.NotifyAll();
  }
}

}  // namespace arcshard::head
