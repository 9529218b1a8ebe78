#pragma once

#include <deque>
#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"

namespace arcshard::shard {

// Tasks that any thread posts and one thread does, in order, until one fails or the queue is closed. Thread-safe.
class TaskQueue {
 public:
  using Task = std::function<absl::Status()>;

  void Post(Task task);

  // Closes the queue: tasks that have not begun are dropped. Call once.
  void Close(const absl::Status& status);

  // Does tasks as they are posted. Returns the first error of a task, or what Close was called with. One thread.
  absl::Status Run();

  // Waits until the queue is closed, for at most `timeout` by `clock`. Returns whether it is closed.
  bool AwaitClosed(const Clock& clock, absl::Duration timeout);

 private:
  Mutex mutex_;
  CondVar changed_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status closed_with_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::shard
