#include "shard_server/state/log/record_pool.h"

#include <utility>

namespace arcshard::shard {

std::shared_ptr<ReplayRecord> RecordPool::Take() {
  std::unique_ptr<ReplayRecord> record;
  {
    MutexLock lock(&shelf_->mutex);
    if (!shelf_->free.empty()) {
      record = std::move(shelf_->free.back());
      shelf_->free.pop_back();
    }
  }
  if (record == nullptr) record = std::make_unique<ReplayRecord>();
  return {record.release(), [shelf = shelf_](ReplayRecord* released) {
            std::unique_ptr<ReplayRecord> owned(released);
            MutexLock lock(&shelf->mutex);
            shelf->free.push_back(std::move(owned));
          }};
}

void RecordPool::Clear() {
  std::vector<std::unique_ptr<ReplayRecord>> freed;  // destroyed without the lock
  MutexLock lock(&shelf_->mutex);
  freed.swap(shelf_->free);
}

}  // namespace arcshard::shard
