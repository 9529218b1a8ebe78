#include "coordinator/run_folder/keeper_thread.h"

#include <cassert>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/io/log.h"
#include "coordinator/run_folder/run_config_file.h"

namespace arcshard::coordinator {

KeeperThread::KeeperThread(FileSystem* files, std::string run_folder, const Retention& retention, Fence fence)
    : files_(files), run_folder_(std::move(run_folder)), retention_(retention), fence_(std::move(fence)) {
  assert(fence_ != nullptr);
}

KeeperThread::~KeeperThread() { Finish(); }

void KeeperThread::Start(Kept kept) {
  assert(!thread_.joinable() && kept != nullptr);
  kept_ = std::move(kept);
  thread_ = std::thread([this] { Work(); });
}

void KeeperThread::Finish() {
  {
    MutexLock lock(&mutex_);
    finishing_ = true;
  }
  changed_.NotifyAll();
  if (thread_.joinable()) thread_.join();
}

void KeeperThread::Drop() {
  MutexLock lock(&mutex_);
  tasks_.clear();
}

void KeeperThread::Complete(const std::string& folder, Manifest manifest) {
  Add([this, folder, manifest = std::move(manifest)] { CompleteNow(folder, manifest); });
}

void KeeperThread::Abandon(const std::string& folder) {
  Add([this, folder] { AbandonNow(folder); });
}

void KeeperThread::DeleteSuperseded() {
  Add([this] { DeleteSupersededNow(); });
}

absl::Status KeeperThread::fenced_off() {
  MutexLock lock(&mutex_);
  return fenced_off_;
}

void KeeperThread::Add(Task task) {
  {
    MutexLock lock(&mutex_);
    tasks_.push_back(std::move(task));
  }
  changed_.NotifyAll();
}

void KeeperThread::Work() {
  while (true) {
    Task task;
    {
      MutexLock lock(&mutex_);
      while (tasks_.empty() && !finishing_) changed_.Wait(&mutex_);
      if (tasks_.empty()) return;
      task = std::move(tasks_.front());
      tasks_.pop_front();
    }
    task();
  }
}

// Another coordinator may have taken the folder since the last time.
absl::Status KeeperThread::AskFence() {
  const absl::Status status = fence_();
  if (absl::IsFailedPrecondition(status)) {
    MutexLock lock(&mutex_);
    if (fenced_off_.ok()) fenced_off_ = status;
  }
  return status;
}

void KeeperThread::CompleteNow(const std::string& folder, const Manifest& manifest) {
  absl::Status status = AskFence();
  if (status.ok()) status = WriteManifest(files_, folder, manifest);
  // After an error no file of the checkpoint may be left when `kept_` is called. But if there is a manifest already,
  // that checkpoint was complete before and stays.
  if (!status.ok() && !absl::IsAlreadyExists(status)) AbandonNow(folder);
  if (status.ok()) KeepConfig(manifest.config_yaml);
  kept_(manifest.step, status);
}

void KeeperThread::AbandonNow(const std::string& folder) {
  if (!AskFence().ok()) return;  // the other coordinator removes what it finds
  const absl::Status status = RemoveCheckpoint(files_, folder);
  if (status.ok() || absl::IsNotFound(status)) return;  // no member had created the folder
  LogError(absl::StrCat("cannot delete the files of a failed checkpoint: ", status.message()));
}

void KeeperThread::KeepConfig(const std::string& yaml) {
  const absl::Status status = KeepRunConfig(files_, run_folder_, yaml);
  if (status.ok()) return;
  LogError(absl::StrCat("cannot keep the configuration of the newest checkpoint, so a resumed run may take an earlier ",
                        "one: ", status.message()));
}

void KeeperThread::DeleteSupersededNow() {
  if (!AskFence().ok()) return;
  const absl::StatusOr<std::vector<CheckpointId>> complete = ListCheckpoints(files_, run_folder_);
  if (!complete.ok()) {
    LogError(absl::StrCat("cannot list older checkpoints, so none is deleted: ", complete.status().message()));
    return;
  }
  for (const CheckpointId& id : Superseded(*complete, retention_)) {
    const absl::Status status = RemoveCheckpoint(files_, CheckpointFolder(run_folder_, id));
    if (!status.ok()) LogError(absl::StrCat("cannot delete an older checkpoint: ", status.message()));
  }
  DeleteOvertakenNow();
}

// Members that live on may have written to the folder of a checkpoint whose coordinator, or another member, had died.
void KeeperThread::DeleteOvertakenNow() {
  const absl::StatusOr<std::vector<CheckpointId>> overtaken = ListOvertaken(files_, run_folder_);
  if (!overtaken.ok()) return;  // its caller has just logged why
  for (const CheckpointId& id : *overtaken) {
    const absl::Status status = RemoveCheckpoint(files_, CheckpointFolder(run_folder_, id));
    if (status.ok() || absl::IsFailedPrecondition(status)) continue;  // one still writes to it: it is tried again
    LogError(absl::StrCat("cannot delete the files of a failed checkpoint: ", status.message()));
  }
}

}  // namespace arcshard::coordinator
