#include "worker/training/all_reduce/all_reduce.h"

#include <cassert>
#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "worker/training/all_reduce/c10d_error.h"
#include "worker/training/all_reduce/connect_group.h"
#include "worker/training/all_reduce/reduce_group.h"

namespace arcshard::worker {
namespace {

// For how long the destructor waits for what Abort ends. It takes a few milliseconds where it can be ended at all.
constexpr absl::Duration kEndOfPending = absl::Milliseconds(500);

}  // namespace

struct AllReduce::State {
  Mutex mutex;
  CondVar changed;
  bool pending ABSL_GUARDED_BY(mutex) = false;  // the connecting, a sum or a broadcast
  std::optional<MonotonicTime> since ABSL_GUARDED_BY(mutex);
  absl::Status result ABSL_GUARDED_BY(mutex);  // of the last sum or broadcast
  absl::Status aborted ABSL_GUARDED_BY(mutex);
  std::vector<uint32_t> lost ABSL_GUARDED_BY(mutex);
  ConnectedGroup connected ABSL_GUARDED_BY(mutex);

  // Something begins. The status of Abort, after which nothing does.
  absl::Status Begin(const Clock* clock) {
    MutexLock lock(&mutex);
    if (!aborted.ok()) return aborted;
    pending = true;
    result = absl::OkStatus();
    if (clock != nullptr) since = clock->Now();
    return absl::OkStatus();
  }

  void End(const absl::Status& status) {
    MutexLock lock(&mutex);
    pending = false;
    since.reset();
    result = status;
    changed.NotifyAll();
  }

  absl::Status WaitFor(absl::Duration duration) {
    MutexLock lock(&mutex);
    if (aborted.ok()) changed.WaitFor(&mutex, duration);
    return aborted;
  }
};

AllReduce::AllReduce(AllReduceOptions options) : options_(std::move(options)), state_(std::make_shared<State>()) {
  assert(options_.rank >= 0 && static_cast<size_t>(options_.rank) < options_.workers.size());
}

AllReduce::~AllReduce() {
  Abort(absl::CancelledError("the view has ended"));
  std::unique_ptr<ReduceGroup> group;
  {
    MutexLock lock(&mutex_);
    group = std::move(group_);
  }
  if (group == nullptr) return;
  bool pending = false;
  {
    MutexLock lock(&state_->mutex);
    if (state_->pending) state_->changed.WaitFor(&state_->mutex, kEndOfPending);
    pending = state_->pending;
  }
  // The group's destructor waits for what is pending, which this thread must not do for long.
  if (pending) std::thread([group = std::move(group)]() mutable { group.reset(); }).detach();
}

std::vector<uint32_t> AllReduce::Others() const {
  std::vector<uint32_t> others = options_.workers;
  others.erase(others.begin() + options_.rank);
  return others;
}

ReduceGroup* AllReduce::group() const {
  MutexLock lock(&mutex_);
  return group_.get();
}

absl::Status AllReduce::Connect() {
  if (options_.workers.size() == 1) return absl::OkStatus();
  if (const absl::Status status = state_->Begin(options_.clock); !status.ok()) return status;
  std::thread([options = options_, state = state_] {
    ConnectedGroup connected =
        ConnectGroup(options, [&state](absl::Duration duration) { return state->WaitFor(duration); });
    const absl::Status status = connected.status;
    {
      MutexLock lock(&state->mutex);
      if (state->aborted.ok()) std::swap(state->connected, connected);
    }
    state->End(status);
  }).detach();  // what it made is destroyed here if nobody waits for it any more
  const absl::Status status = AwaitPending();
  ConnectedGroup connected;
  {
    MutexLock lock(&state_->mutex);
    std::swap(state_->connected, connected);
    if (state_->aborted.ok()) {
      for (const int rank : connected.lost) state_->lost.push_back(options_.workers[rank]);
    }
  }
  if (!status.ok()) return status;
  MutexLock lock(&mutex_);
  group_ = std::move(connected.group);
  return absl::OkStatus();
}

absl::Status AllReduce::AwaitPending() {
  MutexLock lock(&state_->mutex);
  while (state_->pending && state_->aborted.ok()) state_->changed.Wait(&state_->mutex);
  return state_->aborted.ok() ? state_->result : state_->aborted;
}

absl::StatusOr<at::Tensor> AllReduce::Run(const at::Tensor& values, const Start& start) {
  assert(values.dim() == 1 && values.is_contiguous());
  if (options_.workers.size() == 1) return values.clone();
  ReduceGroup* const group = this->group();
  if (const absl::Status status = state_->Begin(options_.clock); !status.ok()) return status;
  assert(group != nullptr);
  at::Tensor buffer;
  absl::Status failed;
  try {
    buffer = values.to(group->device(), values.scalar_type(), /*non_blocking=*/false, /*copy=*/true);
    start(group, buffer);
  } catch (const std::exception& error) {
    failed = absl::UnavailableError(absl::StrCat("the workers' all-reduce failed: ", FirstLine(error)));
  }
  if (!failed.ok()) state_->End(failed);
  const absl::Status status = AwaitPending();
  if (status.ok()) return buffer.to(values.device());
  MutexLock lock(&state_->mutex);
  if (state_->aborted.ok()) state_->lost = Others();
  return status;
}

// A callback may run on a thread of the group, which must not destroy the group: it keeps only the state alive.
absl::StatusOr<at::Tensor> AllReduce::Sum(const at::Tensor& values) {
  return Run(values, [this](ReduceGroup* group, const at::Tensor& buffer) {
    group->StartSum(buffer, [state = state_](const absl::Status& status) { state->End(status); });
  });
}

absl::StatusOr<at::Tensor> AllReduce::Broadcast(const at::Tensor& values, int root) {
  assert(root >= 0 && static_cast<size_t>(root) < options_.workers.size());
  return Run(values, [this, root](ReduceGroup* group, const at::Tensor& buffer) {
    group->StartBroadcast(buffer, root, [state = state_](const absl::Status& status) { state->End(status); });
  });
}

void AllReduce::Abort(const absl::Status& status) {
  assert(!status.ok());
  {
    MutexLock lock(&state_->mutex);
    if (!state_->aborted.ok()) return;
    state_->aborted = status;
    state_->since.reset();
    state_->changed.NotifyAll();
  }
  if (ReduceGroup* const made = group(); made != nullptr) made->Abort();
}

std::vector<uint32_t> AllReduce::lost() const {
  MutexLock lock(&state_->mutex);
  return state_->lost;
}

std::optional<MonotonicTime> AllReduce::waiting_since() const {
  MutexLock lock(&state_->mutex);
  return state_->since;
}

}  // namespace arcshard::worker
