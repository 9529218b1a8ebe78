#include "worker/inference/batches.h"

#include <algorithm>
#include <atomic>
#include <limits>
#include <thread>
#include <vector>

#include "ATen/Parallel.h"
#include "common/base/mutex.h"

namespace arcshard::worker {
namespace {

// Keeps the error of the lowest batch that failed.
class FirstError {
 public:
  void Add(int64_t batch, const absl::Status& status) {
    MutexLock lock(&mutex_);
    if (batch >= batch_) return;
    batch_ = batch;
    status_ = status;
  }
  absl::Status Get() {
    MutexLock lock(&mutex_);
    return status_;
  }

 private:
  Mutex mutex_;
  int64_t batch_ ABSL_GUARDED_BY(mutex_) = std::numeric_limits<int64_t>::max();
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// What the threads have done, for the thread that waits for them.
class Tally {
 public:
  explicit Tally(int threads) : running_(threads) {}

  void Add() {
    MutexLock lock(&mutex_);
    ++done_;
    changed_.NotifyAll();
  }
  void Leave() {
    MutexLock lock(&mutex_);
    --running_;
    changed_.NotifyAll();
  }
  // Waits until more than `*done` batches are done, and sets it to their number; false: all threads have left before.
  bool AwaitMore(int64_t* done) {
    MutexLock lock(&mutex_);
    while (done_ == *done && running_ > 0) changed_.Wait(&mutex_);
    const bool more = done_ > *done;
    *done = done_;
    return more;
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  int64_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  int running_ ABSL_GUARDED_BY(mutex_);
};

// Runs `work` on this many new threads, in each of which LibTorch uses no others, and `meanwhile` on this one. LibTorch
// has one setting for the process with a copy in each thread, so it is restored afterwards.
void RunConfined(int threads, const std::function<void()>& work, const std::function<void()>& meanwhile) {
  const int before = at::get_num_threads();
  std::vector<std::thread> running;
  for (int i = 0; i < threads; ++i) {
    running.emplace_back([&work] {
      at::set_num_threads(1);
      work();
    });
  }
  meanwhile();
  for (std::thread& thread : running) thread.join();
  at::set_num_threads(before);
}

}  // namespace

absl::Status RunBatches(int threads, int64_t batches, const std::function<BatchWork()>& new_work,
                        const std::function<absl::Status(int64_t done)>& after) {
  threads = static_cast<int>(std::min<int64_t>(threads, batches));
  if (threads <= 0) return absl::OkStatus();
  std::atomic<int64_t> next = 0;
  std::atomic<bool> failed = false;
  FirstError error;
  Tally tally(threads);
  // Batches are taken in order, so all before one that fails have been taken, and are finished.
  const auto run = [&] {
    const BatchWork work = new_work();
    for (int64_t batch; !failed && (batch = next++) < batches;) {
      if (const absl::Status status = work(batch); status.ok()) {
        tally.Add();
      } else {
        error.Add(batch, status);
        failed = true;
      }
    }
    tally.Leave();
  };
  absl::Status stopped;
  const auto meanwhile = [&] {
    for (int64_t done = 0; tally.AwaitMore(&done);) {
      if (after && stopped.ok()) stopped = after(done);
      if (!stopped.ok()) failed = true;
    }
  };
  RunConfined(threads, run, meanwhile);
  return stopped.ok() ? error.Get() : stopped;
}

}  // namespace arcshard::worker
