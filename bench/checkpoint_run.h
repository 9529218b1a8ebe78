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

// A shard that trains and takes checkpoints, as the real one does. Calls come one at a time; an error ends it.
class CheckpointRun {
 public:
  struct Options {
    std::string folder = ".";
    int64_t buffer_mb = 1024;
  };
  struct Written {
    uint64_t bytes = 0;
    double seconds = 0.0;  // to the last fsync
  };
  struct Overlap {
    int steps = 0;
    double seconds = 0.0;        // of them
    double stall_seconds = 0.0;  // that threads waited for the file
  };

  // Creates `folder`. Errors as of Head::Create and FileSystem.
  static absl::StatusOr<std::unique_ptr<CheckpointRun>> Create(const head::HeadOptions& head, int64_t batch,
                                                               const Options& options);

  // Seconds of one step.
  absl::StatusOr<double> Step();

  // A checkpoint while nothing else runs.
  absl::StatusOr<Written> Write();

  // As many bytes by write and fsync, 1 MiB a call. Seconds.
  absl::StatusOr<double> WritePlainly(uint64_t bytes);

  // A checkpoint, and steps until it is written: those that began before it was.
  absl::StatusOr<Overlap> StepsDuringOne();

 private:
  CheckpointRun(std::string folder, std::unique_ptr<HeadStep> step, int64_t buffer_mb);

  bool IsWritten();
  // Waits for the report, and removes what was written.
  absl::StatusOr<CheckpointReport> TakeReport();

  const std::string folder_;
  const SystemClock clock_;
  MetricRegistry registry_;
  ShardMetrics metrics_;
  std::unique_ptr<HeadStep> step_;
  uint64_t checkpoint_ = 0;

  Mutex mutex_;
  CondVar changed_;
  std::vector<CheckpointReport> reports_ ABSL_GUARDED_BY(mutex_);  // the latest, until it is taken

  shard::ShardCheckpointer checkpointer_;  // last: it reports
};

}  // namespace arcshard::bench
