#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "bench/head_step.h"
#include "common/base/clock.h"
#include "common/base/mutex.h"
#include "common/metrics/metric_list.h"
#include "shard_server/checkpoint/shard_checkpointer.h"

namespace arcshard::bench {

// A shard that trains and takes checkpoints as a shard server does. Thread-compatible; it can't be used after an error.
class CheckpointRun {
 public:
  struct Options {
    std::string folder = ".";
    int64_t buffer_mb = 1024;
  };
  struct Written {
    uint64_t bytes = 0;
    double seconds = 0.0;  // including the last fsync
  };
  struct Overlap {
    int steps = 0;
    double seconds = 0.0;        // for all steps
    double stall_seconds = 0.0;  // that threads waited for the file, summed over threads
  };

  // Creates `folder`. Errors as for Head::Create and FileSystem.
  static absl::StatusOr<std::unique_ptr<CheckpointRun>> Create(const head::HeadOptions& head, int64_t batch,
                                                               const Options& options);

  // Makes a step; returns its seconds.
  absl::StatusOr<double> Step();

  // Writes a checkpoint while nothing else runs.
  absl::StatusOr<Written> Write();

  // Writes `bytes` bytes in calls of 1 MiB, followed by fsync; returns the seconds.
  absl::StatusOr<double> WritePlainly(uint64_t bytes);

  // Takes a checkpoint, and makes steps until it is written. The last of them may end after that.
  absl::StatusOr<Overlap> StepsDuringOne();

 private:
  CheckpointRun(std::string folder, std::unique_ptr<HeadStep> step, int64_t buffer_mb);

  bool IsWritten();
  // Waits for the report, and removes the files of the checkpoint.
  absl::StatusOr<CheckpointReport> TakeReport();

  const std::string folder_;
  const SystemClock clock_;
  MetricRegistry registry_;
  ShardMetrics metrics_;
  std::unique_ptr<HeadStep> step_;
  uint64_t checkpoint_ = 0;

  Mutex mutex_;
  CondVar changed_;
  std::vector<CheckpointReport> reports_ ABSL_GUARDED_BY(mutex_);  // the latest, until TakeReport

  shard::ShardCheckpointer checkpointer_;  // last, because it calls back until it is destroyed
};

}  // namespace arcshard::bench
