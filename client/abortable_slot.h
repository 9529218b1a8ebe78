#pragma once

#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "common/base/mutex.h"

namespace arcshard::client {

// Holds what one thread, the owner, uses and any other thread may have to abort: the connections of the current view.
// T has a method Abort(const absl::Status&) that any thread may call while the owner uses the T.
//
// There are two ways to abort. Abort is for the end: it reaches what is held and all that will be. An interruption is
// for what is held now: it is a state, such as "another view is queued", which voids the connections that are held
// while it lasts and not those that are made for it. Whoever changes that state calls Recheck afterwards.
//
// The lock is held while T::Abort runs, so that the owner never destroys what is being aborted. T::Abort, and the
// question whether there is an interruption, may take their own locks after it, but must not call the slot.
template <typename T>
class AbortableSlot {
 public:
  // interrupted: any thread may call it; OK: there is no interruption. Null: there never is one.
  explicit AbortableSlot(std::function<absl::Status()> interrupted = nullptr) : interrupted_(std::move(interrupted)) {}

  // Owner: destroys what is held.
  void Clear() { Replace(nullptr); }

  // Owner: holds `value` from now on, and destroys what was held before. If Abort has been called, or there is an
  // interruption, `value` is aborted at once. The pointer is valid until the next Install or Clear.
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
    AbortHeld();
  }

  // Any thread: aborts what is held if there is an interruption.
  void Recheck() {
    MutexLock lock(&mutex_);
    AbortHeld();
  }

 private:
  void Replace(std::unique_ptr<T> value) {
    MutexLock lock(&mutex_);
    value_.swap(value);
    AbortHeld();
  }  // the one that was held is destroyed by the caller's argument, after the lock is released

  void AbortHeld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (value_ == nullptr) return;
    absl::Status status = aborted_;
    if (status.ok() && interrupted_) status = interrupted_();
    if (!status.ok()) value_->Abort(status);
  }

  const std::function<absl::Status()> interrupted_;
  Mutex mutex_;
  std::unique_ptr<T> value_ ABSL_GUARDED_BY(mutex_);
  absl::Status aborted_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace arcshard::client
