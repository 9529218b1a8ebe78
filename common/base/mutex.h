#pragma once

#include <pthread.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <mutex>

#include "absl/base/thread_annotations.h"
#include "absl/time/time.h"

namespace arcshard {

// std::mutex with Clang's thread-safety annotations. Not absl::Mutex: Debian's Abseil is built without ThreadSanitizer,
// which therefore would not see the order that absl::Mutex establishes.
class ABSL_LOCKABLE Mutex {
 public:
  void Lock() ABSL_EXCLUSIVE_LOCK_FUNCTION() { mutex_.lock(); }
  void Unlock() ABSL_UNLOCK_FUNCTION() { mutex_.unlock(); }

 private:
  friend class CondVar;
  std::mutex mutex_;
};

class ABSL_SCOPED_LOCKABLE MutexLock {
 public:
  explicit MutexLock(Mutex* mutex) ABSL_EXCLUSIVE_LOCK_FUNCTION(mutex) : mutex_(mutex) { mutex_->Lock(); }
  ~MutexLock() ABSL_UNLOCK_FUNCTION() { mutex_->Unlock(); }
  MutexLock(const MutexLock&) = delete;
  MutexLock& operator=(const MutexLock&) = delete;

 private:
  Mutex* const mutex_;
};

// Callers wait in a loop, `while (!ready_) changed_.Wait(&mutex_);`, so that Clang's analysis sees the guarded reads.
// Not std::condition_variable, which waits by pthread_cond_clockwait always: TSan of GCC 12 does not know that
// function, so there the condition itself has the monotonic clock. Elsewhere that function is used, because
// libfaketime, with which users try what a wrong clock does, makes pthread_cond_timedwait return at once when the clock
// is set back.
class CondVar {
 public:
  CondVar() {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&condition_, &attributes);
    pthread_condattr_destroy(&attributes);
  }
  ~CondVar() { pthread_cond_destroy(&condition_); }
  CondVar(const CondVar&) = delete;
  CondVar& operator=(const CondVar&) = delete;

  void Wait(Mutex* mutex) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    pthread_cond_wait(&condition_, mutex->mutex_.native_handle());
  }

  // Returns false if `timeout` passed without a notification. Setting the machine's date makes no wait longer or
  // shorter. Waits for at most a day, even if `timeout` is infinite: callers loop.
  bool WaitFor(Mutex* mutex, absl::Duration timeout) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex) {
    const absl::Duration wait = std::clamp(timeout, absl::ZeroDuration(), absl::Hours(24));
    timespec now = {};
    clock_gettime(CLOCK_MONOTONIC, &now);
    const timespec deadline = absl::ToTimespec(absl::DurationFromTimespec(now) + wait);
#ifdef __SANITIZE_THREAD__
    return pthread_cond_timedwait(&condition_, mutex->mutex_.native_handle(), &deadline) != ETIMEDOUT;
#else
    return pthread_cond_clockwait(&condition_, mutex->mutex_.native_handle(), CLOCK_MONOTONIC, &deadline) != ETIMEDOUT;
#endif
  }

  void NotifyOne() { pthread_cond_signal(&condition_); }
  void NotifyAll() { pthread_cond_broadcast(&condition_); }

 private:
  pthread_cond_t condition_;
};

}  // namespace arcshard
