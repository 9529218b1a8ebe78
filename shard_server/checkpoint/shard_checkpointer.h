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
// of its own while the shard trains on. Its calls come one at a time, but for GiveUp; the thread's priority is below
// that of the head's threads.
class ShardCheckpointer {
 public:
  struct Options {
    std::string run_folder;
    int64_t buffer_bytes = int64_t{1} << 30;  // for rows copied aside (RowSnapshot)
  };
  using Report = std::function<void(const CheckpointReport&)>;

  // Observes the head. All but `options` outlive it; `report` is called once for each Take, by the thread that writes
  // or by Take itself.
  ShardCheckpointer(Options options, head::Head* head, FileSystem* files, ShardMetrics* metrics, const Clock* clock,
                    Report report);
  // Abandons what is in progress, and reports that. Not while the head updates.
  ~ShardCheckpointer();
  ShardCheckpointer(const ShardCheckpointer&) = delete;
  ShardCheckpointer& operator=(const ShardCheckpointer&) = delete;

  // The rows as they are now become the part of the checkpoint of `step`, which `view`'s coordinator asked for. Waits
  // for the one in progress, if any. Whatever goes wrong is reported, and training goes on.
  void Take(const View& view, uint64_t step);

  // Waits for the one in progress.
  void Finish();

  // Any thread: abandons the one in progress, so that no update waits for the disk any more.
  void GiveUp() { snapshot_.Abandon(); }

 private:
  void Write(const View& view, uint64_t step, absl::Time begin);
  absl::StatusOr<FileRecord> WritePart(const View& view, uint64_t step);

  const Options options_;
  head::Head* const head_;
  FileSystem* const files_;
  ShardMetrics* const metrics_;
  const Clock* const clock_;
  const Report report_;
  RowSnapshot snapshot_;
  absl::Duration waited_;  // of that, what the metric already has
  std::thread thread_;
};

}  // namespace arcshard::shard
