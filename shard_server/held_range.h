#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "common/base/class_range.h"
#include "common/base/clock.h"
#include "common/base/device_name.h"
#include "common/config/run_config.h"
#include "common/io/file_system.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/types.h"
#include "shard_server/checkpoint/shard_checkpointer.h"
#include "shard_server/head/head.h"

namespace arcshard::shard {

// A range of classes that a shard holds: its head, whose calls are metered, the checkpoints of its rows, and the
// metrics of its size. The executor's thread calls the head, Restore and BeginCheckpoint; otherwise thread-compatible,
// except GiveUpCheckpoint.
class HeldRange {
 public:
  // The pointers outlive the range.
  struct Options {
    const RunConfig* config = nullptr;
    DeviceName device;           // of the head
    int64_t capacity_bytes = 0;  // memory that the head may fill
    FileSystem* files = nullptr;
    ShardMetrics* metrics = nullptr;
    const Clock* clock = nullptr;
    ShardCheckpointer::Report report;  // called once for each checkpoint, see ShardCheckpointer
  };

  // Makes the head of `range` out of the view's classes. Its rows are those of no state before Restore. Errors: those
  // of Head::Create.
  static absl::StatusOr<std::unique_ptr<HeldRange>> Create(const Options& options, const ViewAnnouncement& view,
                                                           ClassRange range);

  // Makes the head hold the view's base: the rows of its checkpoint, or the first ones of a run. Every row is written
  // anew, whatever the head held. A checkpoint that is being written of other rows is given up. Errors: those of
  // RestoreRows (blamed on the checkpoint, BlameCheckpoint), WriteFirstRows, InitRows and LoadClassCenters; the head
  // then holds no state. Requires: the head has no step in hand.
  absl::Status Restore(const ViewAnnouncement& view);

  head::Head* head() const { return head_.get(); }

  // See ShardCheckpointer.
  void BeginCheckpoint(const View& view, uint64_t step) { checkpointer_.Begin(view, step); }
  void AwaitCheckpoint() { checkpointer_.Await(); }
  void GiveUpCheckpoint() { checkpointer_.GiveUp(); }

 private:
  HeldRange(const Options& options, std::unique_ptr<head::Head> head);

  std::string Name() const;  // "classes [0, 100) of 300"

  const RunConfig* const config_;
  FileSystem* const files_;
  const std::unique_ptr<head::Head> head_;
  ShardCheckpointer checkpointer_;
  bool has_first_rows_;  // as Head::Create made them
};

}  // namespace arcshard::shard
