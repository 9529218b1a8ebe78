#pragma once

#include <deque>
#include <functional>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "common/base/mutex.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/file_system.h"
#include "coordinator/run/checkpoints.h"

namespace arcshard::coordinator {

// Makes checkpoints complete, deletes those that failed and those that are superseded, on a thread of its own: a disk
// may take its time, and the run's lock is not held meanwhile. In the order in which they are told. Complete and
// Abandon are thread-safe and return at once.
class KeeperThread final : public CheckpointKeeper {
 public:
  using Kept = std::function<void(uint64_t step, const absl::Status& status)>;

  // `files` outlives it.
  KeeperThread(FileSystem* files, std::string run_folder, const Retention& retention);
  ~KeeperThread() override;  // Finish

  // Call once: the thread begins, with what was told before. `kept` is called on it, after each Complete and before
  // what is superseded is deleted.
  void Start(Kept kept);
  // Does all that was told so far, the last manifest included, and ends the thread.
  void Finish();

  void Complete(const std::string& folder, Manifest manifest) override;
  void Abandon(const std::string& folder) override;

 private:
  using Task = std::function<void()>;

  void Add(Task task);
  void Work();
  void CompleteNow(const std::string& folder, const Manifest& manifest);
  void AbandonNow(const std::string& folder);
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
