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

// Completes checkpoints and deletes failed and superseded ones, in the order of the calls. With each complete one,
// <run_folder>/config.yaml becomes the configuration that it was taken under: a configuration of which no state was
// kept leaves no trace. It uses a thread of its own, so that the run's lock is not held while the disk works. Complete
// and Abandon are thread-safe and return at once.
class KeeperThread final : public CheckpointKeeper {
 public:
  using Kept = std::function<void(uint64_t step, const absl::Status& status)>;

  // `files` outlives it.
  KeeperThread(FileSystem* files, std::string run_folder, const Retention& retention);
  ~KeeperThread() override;  // calls Finish

  // Starts the thread, which begins with what was asked for before. It calls `kept` with the result of each Complete,
  // before it deletes superseded checkpoints. Call it once.
  void Start(Kept kept);
  // Waits until all that was asked for so far is done, and ends the thread.
  void Finish();
  // Forgets what was asked for and has not begun: the folder belongs to another coordinator now.
  void Drop();

  void Complete(const std::string& folder, Manifest manifest) override;
  void Abandon(const std::string& folder) override;

 private:
  using Task = std::function<void()>;

  void Add(Task task);
  void Work();
  void CompleteNow(const std::string& folder, const Manifest& manifest);
  void AbandonNow(const std::string& folder);
  void KeepConfig(const std::string& yaml);
  void DeleteSuperseded();

  FileSystem* const files_;
  const std::string run_folder_;
  const Retention retention_;
  Kept kept_;
  Mutex mutex_;
  CondVar changed_;
  std::deque<Task> tasks_ ABSL_GUARDED_BY(mutex_);
  bool finishing_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;
};

}  // namespace arcshard::coordinator
