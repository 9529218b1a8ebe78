#pragma once

#include <memory>
#include <utility>

#include "common/base/mutex.h"
#include "shard_server/state/shard_state.h"

namespace arcshard::shard {

// The state that a service calls, which may be replaced by another one while calls arrive. Thread-safe.
class AttachedState {
  // A state and how many calls use it, which the lock of the AttachedState guards.
  struct Slot {
    ShardState* state = nullptr;
    int uses = 0;
  };

 public:
  // The state for the time of one call; null: none is attached. The call must not wait for whoever calls Attach.
  class Use {
   public:
    explicit Use(AttachedState* owner) : owner_(owner) {
      MutexLock lock(&owner_->mutex_);
      slot_ = owner_->slot_;
      ++slot_->uses;
    }
    ~Use() {
      MutexLock lock(&owner_->mutex_);
      if (--slot_->uses == 0) owner_->unused_.NotifyAll();
    }
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    ShardState* get() const { return slot_->state; }
    ShardState* operator->() const { return slot_->state; }

   private:
    AttachedState* const owner_;
    std::shared_ptr<Slot> slot_;
  };

  // From now on calls use `state`; null: none. When it returns, no call uses the one before any more, so that it may be
  // destroyed.
  void Attach(ShardState* state) {
    auto slot = std::make_shared<Slot>();
    slot->state = state;
    MutexLock lock(&mutex_);
    std::swap(slot_, slot);
    while (slot->uses > 0) unused_.Wait(&mutex_);
  }

 private:
  Mutex mutex_;
  CondVar unused_;
  std::shared_ptr<Slot> slot_ ABSL_GUARDED_BY(mutex_) = std::make_shared<Slot>();
};

}  // namespace arcshard::shard
