#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "common/base/clock.h"
#include "common/checkpoint/part_writer.h"
#include "common/io/file_system.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/checkpoint_report.h"
#include "shard_server/checkpoint/row_snapshot.h"
#include "shard_server/head/head.h"

namespace arcshard::shard {

// Writes a shard's part of each checkpoint, RUN/checkpoints/step-…/class_centers-<begin>-<end>.safetensors, on a thread
// of its own while the shard continues to train. That thread's priority is below that of the head's threads.
// Thread-compatible, except GiveUp.
class ShardCheckpointer {
 public:
  struct Options {
    std::string run_folder;
    int64_t buffer_bytes = int64_t{1} << 30;  // for rows copied aside (RowSnapshot)
  };
  using Report = std::function<void(const CheckpointReport&)>;

  // Observes the head. The pointers outlive the checkpointer. `report` is called once for each Begin, by the thread
  // that writes or by Begin itself.
  ShardCheckpointer(Options options, head::Head* head, FileSystem* files, ShardMetrics* metrics, const Clock* clock,
                    Report report);
  // Gives up the checkpoint in progress, if any, and reports that. Requires: no update runs.
  ~ShardCheckpointer();
  ShardCheckpointer(const ShardCheckpointer&) = delete;
  ShardCheckpointer& operator=(const ShardCheckpointer&) = delete;

  // Begins the part of the checkpoint of `step`, for which the coordinator of `view` asked, from the rows as they are
  // now. Waits for the checkpoint in progress, if any. Errors are reported; training continues. Requires: no update
  // runs.
  void Begin(const View& view, uint64_t step);

  // Waits for the checkpoint in progress, if any.
  void Await();

  // Any thread: gives up the checkpoint in progress, so that no update waits for the disk.
  void GiveUp() { snapshot_.Abandon(); }

 private:
  void Write(const View& view, uint64_t step, MonotonicTime begin);
  absl::StatusOr<FileRecord> WritePart(const View& view, uint64_t step);

  const Options options_;
  head::Head* const head_;
  FileSystem* const files_;
  ShardMetrics* const metrics_;
  const Clock* const clock_;
  const Report report_;
  RowSnapshot snapshot_;
  absl::Duration waited_;  // the part of snapshot_.waited() that the metric includes
  std::thread thread_;
};

}  // namespace arcshard::shard
