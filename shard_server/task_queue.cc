#include "shard_server/task_queue.h"

#include <cassert>
#include <utility>

#include "common/base/status_macros.h"

namespace arcshard::shard {

void TaskQueue::Post(Task task) {
  MutexLock lock(&mutex_);
  tasks_.push_back(std::move(task));
  changed_.NotifyAll();
}

void TaskQueue::Close(const absl::Status& status) {
  MutexLock lock(&mutex_);
  assert(!closed_);
  closed_ = true;
  closed_with_ = status;
  changed_.NotifyAll();
}

absl::Status TaskQueue::Run() {
  while (true) {
    Task task;
    {
      MutexLock lock(&mutex_);
      while (tasks_.empty() && !closed_) changed_.Wait(&mutex_);
      if (closed_) return closed_with_;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    RETURN_IF_ERROR(task());
  }
}

bool TaskQueue::AwaitClosed(const Clock& clock, absl::Duration timeout) {
  const MonotonicTime deadline = clock.Now() + timeout;
  MutexLock lock(&mutex_);
  while (!closed_) {
    if (clock.Now() >= deadline) return false;
    clock.WaitUntil(deadline, &mutex_, &changed_);
  }
  return true;
}

}  // namespace arcshard::shard
