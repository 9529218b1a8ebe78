#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "common/base/mutex.h"
#include "shard_server/state/log/replay_record.h"

namespace arcshard::shard {

// Makes records, and makes them again from those that nobody holds any more, so that their memory is reused. A peer may
// still be reading a record that the log has released. Thread-safe; records may outlive the pool.
class RecordPool {
 public:
  // Returns a record of any contents, which comes back when the last pointer to it is gone.
  std::shared_ptr<ReplayRecord> Take();

  // Frees the memory of all records that wait for their reuse.
  void Clear();

 private:
  struct Shelf {
    Mutex mutex;
    std::vector<std::unique_ptr<ReplayRecord>> free ABSL_GUARDED_BY(mutex);
  };
  const std::shared_ptr<Shelf> shelf_ = std::make_shared<Shelf>();
};

}  // namespace arcshard::shard
