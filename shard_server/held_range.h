#pragma once

#include <cstdint>
#include <memory>

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
// metrics of its size. The executor's thread calls the head and BeginCheckpoint; otherwise thread-compatible, except
// GiveUpCheckpoint.
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

  // Builds the head of `range` with the rows after the view's last decided step: from the checkpoint that the view
  // names, or the first rows of a run. Errors: those of Head::Create, RestoreRows (blamed on the checkpoint,
  // BlameCheckpoint), InitRows and LoadClassCenters.
  static absl::StatusOr<std::unique_ptr<HeldRange>> Build(const Options& options, const ViewAnnouncement& view,
                                                          ClassRange range);

  head::Head* head() const { return head_.get(); }

  // See ShardCheckpointer.
  void BeginCheckpoint(const View& view, uint64_t step) { checkpointer_.Begin(view, step); }
  void AwaitCheckpoint() { checkpointer_.Await(); }
  void GiveUpCheckpoint() { checkpointer_.GiveUp(); }

 private:
  HeldRange(const Options& options, std::unique_ptr<head::Head> head);

  const std::unique_ptr<head::Head> head_;
  ShardCheckpointer checkpointer_;
};

}  // namespace arcshard::shard
