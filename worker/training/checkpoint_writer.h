#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/clock.h"
#include "common/io/file_system.h"
#include "common/io/safetensors.h"
#include "common/metrics/metric_list.h"
#include "common/protocol/checkpoint_report.h"
#include "worker/training/worker_state.h"

namespace arcshard::worker {

// Writes a worker's part of a checkpoint, backbone.safetensors and optimizer.safetensors, while training continues: the
// state is copied at once, and a thread writes the copy. The memory of the copy, on the CPU and as large as the state,
// is allocated for the first checkpoint and kept. Not thread-safe.
class CheckpointWriter {
 public:
  struct Options {
    FileSystem* files = nullptr;
    const Clock* clock = nullptr;
    ProcessMetrics* metrics = nullptr;
    // Gets the outcome of each checkpoint, from the thread that wrote it or from Begin. A report of a failure has no
    // files and says why.
    std::function<void(const CheckpointReport&)> report = nullptr;
  };
  explicit CheckpointWriter(Options options);

  ~CheckpointWriter();  // gives up, and waits for the thread

  // Names a checkpoint.
  struct Request {
    View view;
    uint64_t step = 0;
    std::string folder;  // of the checkpoint; created if missing
  };

  // Copies `state`, which may change as soon as this returns. Waits first if an earlier checkpoint is being written.
  void Begin(const Request& request, const WorkerState& state);

  // Waits until every checkpoint that was begun has been reported.
  void Await();

  // The run has ended: a checkpoint that is being written is neither finished nor reported, and the file that was being
  // written is removed.
  void GiveUp() { given_up_ = true; }

 private:
  struct File {
    std::string name;
    std::vector<NamedTensor> tensors;  // on the CPU; in the order of the file
    SafetensorsMetadata metadata;
  };

  // ResourceExhausted: not enough memory for the copy.
  static absl::Status CopyAside(std::vector<NamedTensor> tensors, File* file);
  void Write(const Request& request, MonotonicTime begun);
  absl::Status WriteFiles(const std::string& folder, std::vector<FileRecord>* written) const;
  absl::StatusOr<FileRecord> WriteFile(const std::string& folder, const File& file) const;

  const Options options_;
  File backbone_{std::string(kBackboneFile), {}, {}};
  File optimizer_{std::string(kOptimizerFile), {}, {}};
  std::atomic<bool> given_up_ = false;
  std::thread thread_;  // reads the two files while it runs
};

}  // namespace arcshard::worker
