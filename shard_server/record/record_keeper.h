#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "common/io/file_system.h"
#include "common/protocol/types.h"
#include "shard_server/record/record_file.h"
#include "shard_server/state/log/replay_record.h"

namespace arcshard::shard {

// Writes the history of a run (record_file.h), if this is the lowest-numbered shard of the view; the records of all
// shards say the same. A thread writes; where it is too slow, Add waits.
//
// A shard that dies may have carried out steps that it has not written. Whoever takes its place begins at the base of
// the view, a complete checkpoint, and replays the steps after it: it writes what is missing. So the records up to a
// checkpoint have to be there before this shard's part of it is (Flush).
//
// A process that was stopped and goes on when the run has gone on without it does no harm: the name of a file
// determines its contents, and what is there already is not written again.
//
// After an error nothing more is written, and every call returns it: who asked for a history wants all of it.
// Thread-safe.
class RecordKeeper {
 public:
  struct Options {
    FileSystem* files = nullptr;  // outlives the keeper
    std::string run_folder;
    uint64_t configuration = 0;  // the run's ComputeFingerprint
    uint32_t shard = 0;          // this one's number
    size_t most_waiting = 4;     // records, beside the one that is being written
  };

  explicit RecordKeeper(Options options);
  ~RecordKeeper();  // writes what waits
  RecordKeeper(const RecordKeeper&) = delete;
  RecordKeeper& operator=(const RecordKeeper&) = delete;

  // A view was announced. The first time as its lowest-numbered shard: makes the folder, and removes what a killed
  // process has left of a file. Errors are the file system's.
  absl::Status Enter(const ViewAnnouncement& view);

  // This shard holds the state `base`, to which it was restored.
  void Restored(const StatePoint& base);

  // This shard has carried out a further step. Requires: Restored, and all steps since then were added.
  absl::Status Add(std::shared_ptr<const ReplayRecord> record);

  // Waits until all records that were added are durable.
  absl::Status Flush();

 private:
  absl::Status RemoveLeftovers() const;
  absl::Status Write(const RecordedStep& step) const;
  void WriteAll();  // the thread

  const Options options_;
  const std::string folder_;
  Mutex mutex_;
  CondVar changed_;
  bool writes_ ABSL_GUARDED_BY(mutex_) = false;  // in the newest view
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  StatePoint at_ ABSL_GUARDED_BY(mutex_);                     // the state that this shard holds
  std::vector<int64_t> range_ends_ ABSL_GUARDED_BY(mutex_);   // they are the same in all views of a run's members
  std::deque<RecordedStep> waiting_ ABSL_GUARDED_BY(mutex_);  // the first one is being written
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace arcshard::shard
