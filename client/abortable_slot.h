#pragma once

#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "common/base/mutex.h"

namespace arcshard::client {

// Holds what one thread, the owner, uses and any other thread may have to abort: the connections of the current view.
// T has a method Abort(const absl::Status&) that any thread may call while the owner uses the T.
//
// The lock is held while T::Abort runs, so that the owner never destroys what is being aborted. T::Abort may take its
// own locks after it, but must not call the slot.
template <typename T>
class AbortableSlot {
 public:
  // Owner: destroys what is held.
  void Clear() { Replace(nullptr); }

  // Owner: holds `value` from now on, and destroys what was held before. If Abort has been called, `value` is aborted
  // at once. The pointer is valid until the next Install or Clear.
  T* Install(std::unique_ptr<T> value) {
    T* const installed = value.get();
    Replace(std::move(value));
    return installed;
  }

  // Any thread: calls `use` with what is held, if anything is. `use` must not call the slot.
  template <typename Use>
  void With(const Use& use) {
    MutexLock lock(&mutex_);
    if (value_ != nullptr) use(*value_);
  }

  // Any thread: aborts what is held and all that will be, with the status of the first call.
  void Abort(const absl::Status& status) {
    MutexLock lock(&mutex_);
    if (aborted_.ok()) aborted_ = status;
    if (value_ != nullptr) value_->Abort(aborted_);
  }

 private:
  void Replace(std::unique_ptr<T> value) {
    MutexLock lock(&mutex_);
    if (value != nullptr && !aborted_.ok()) value->Abort(aborted_);
    value_.swap(value);
  }  // the one that was held is destroyed by the caller's argument, after the lock is released

  Mutex mutex_;
  std::unique_ptr<T> value_ ABSL_GUARDED_BY(mutex_);
  absl::Status aborted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::client
