#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/file_system.h"
#include "coordinator/run/run_output.h"

namespace arcshard::coordinator {

// Completes checkpoints and deletes failed and superseded ones, in the order of the calls; with the superseded ones
// also those that failed long ago (ListOvertaken). With each complete one, <run_folder>/config.yaml becomes the
// configuration that it was taken under: a configuration of which no state was kept leaves no trace. It uses a thread
// of its own, so that the run's lock is not held while the disk works. Complete, Abandon and DeleteSuperseded are
// thread-safe and return at once.
class KeeperThread final : public CheckpointKeeper {
 public:
  using Kept = std::function<void(uint64_t step, const absl::Status& status)>;
  // Whether the folder is still this coordinator's; FailedPrecondition: another one has it.
  using Fence = std::function<absl::Status()>;

  // `files` outlives it. `fence` is asked before anything is written or deleted. Nothing is done after an error of it.
  KeeperThread(FileSystem* files, std::string run_folder, const Retention& retention, Fence fence);
  ~KeeperThread() override;  // calls Finish

  // Starts the thread, which begins with what was asked for before. It calls `kept` with the result of each Complete.
  // Call it once.
  void Start(Kept kept);
  // Waits until all that was asked for so far is done, and ends the thread.
  void Finish();
  // Forgets what was asked for and has not begun: the folder belongs to another coordinator now.
  void Drop();

  void Complete(const std::string& folder, Manifest manifest) override;
  void Abandon(const std::string& folder) override;
  void DeleteSuperseded() override;

  // Not OK: the folder is another coordinator's, and something was not done because of that. The run must end.
  absl::Status fenced_off();

 private:
  using Task = std::function<void()>;

  void Add(Task task);
  void Work();
  absl::Status AskFence();
  void CompleteNow(const std::string& folder, const Manifest& manifest);
  void AbandonNow(const std::string& folder);
  void KeepConfig(const std::string& yaml);
  void DeleteSupersededNow();
  void DeleteOvertakenNow();

  FileSystem* const files_;
  const std::string run_folder_;
  const Retention retention_;
  const Fence fence_;
  Kept kept_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status fenced_off_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace arcshard::coordinator
