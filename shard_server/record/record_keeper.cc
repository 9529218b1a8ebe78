#include "shard_server/record/record_keeper.h"

#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/protocol/lineage.h"

namespace arcshard::shard {

RecordKeeper::RecordKeeper(Options options)
    : options_(std::move(options)), folder_(RecordFolder(options_.run_folder)), thread_([this] { WriteAll(); }) {}

RecordKeeper::~RecordKeeper() {
  {
    MutexLock lock(&mutex_);
    closed_ = true;
    changed_.NotifyAll();
  }
  thread_.join();
}

absl::Status RecordKeeper::Enter(const ViewAnnouncement& view) {
  const bool writes = !view.shards.empty() && view.shards.front().id == options_.shard;
  std::vector<int64_t> range_ends;
  for (const ShardMember& shard : view.shards) range_ends.push_back(shard.range.end);
  bool first;
  {
    MutexLock lock(&mutex_);
    first = writes && !writes_;
    writes_ = writes;
    range_ends_ = std::move(range_ends);
  }
  if (!first) return absl::OkStatus();
  RETURN_IF_ERROR(options_.files->CreateFolders(folder_));
  return RemoveLeftovers();
}

absl::Status RecordKeeper::RemoveLeftovers() const {
  ASSIGN_OR_RETURN(const std::vector<FileSystem::Entry> entries, options_.files->List(folder_));
  for (const FileSystem::Entry& entry : entries) {
    if (!AtomicFile::IsTemporaryName(entry.name)) continue;
    const absl::Status removed = options_.files->Remove(absl::StrCat(folder_, "/", entry.name));
    if (!absl::IsNotFound(removed)) RETURN_IF_ERROR(removed);
  }
  return absl::OkStatus();
}

void RecordKeeper::Restored(const StatePoint& base) {
  MutexLock lock(&mutex_);
  at_ = base;
}

absl::Status RecordKeeper::Add(std::shared_ptr<const ReplayRecord> record) {
  MutexLock lock(&mutex_);
  assert(record->after.step == at_.step + 1);
  assert(record->after.lineage == ExtendLineage(at_.lineage, {.view = record->view,
                                                              .step = record->plan.step,
                                                              .outcome = *record->outcome,
                                                              .lr = record->lr,
                                                              .next = {}}));
  const StatePoint before = std::exchange(at_, record->after);
  while (waiting_.size() > options_.most_waiting && status_.ok()) changed_.Wait(&mutex_);
  RETURN_IF_ERROR(status_);
  if (!writes_) return absl::OkStatus();
  waiting_.push_back({std::move(record), before, range_ends_, options_.configuration});
  changed_.NotifyAll();
  return absl::OkStatus();
}

absl::Status RecordKeeper::Flush() {
  MutexLock lock(&mutex_);
  while (!waiting_.empty() && status_.ok()) changed_.Wait(&mutex_);
  return status_;
}

absl::Status RecordKeeper::Write(const RecordedStep& step) const {
  const absl::Status there = options_.files->Open(absl::StrCat(folder_, "/", RecordName(step.record->after))).status();
  if (!absl::IsNotFound(there)) return there;
  return WriteRecord(options_.files, folder_, step);
}

void RecordKeeper::WriteAll() {
  while (true) {
    const RecordedStep* next = nullptr;
    {
      MutexLock lock(&mutex_);
      while (waiting_.empty() && !closed_) changed_.Wait(&mutex_);
      if (waiting_.empty() || !status_.ok()) return;
      next = &waiting_.front();  // nobody else removes it
    }
    absl::Status written = Write(*next);
    if (!written.ok()) {
      written = Annotate(
          written, absl::StrCat("run.record: the inputs of step ", next->record->plan.step, " could not be kept"));
    }
    RecordedStep done;  // destroyed without the lock
    MutexLock lock(&mutex_);
    done = std::move(waiting_.front());
    waiting_.pop_front();
    status_ = std::move(written);
    changed_.NotifyAll();
    if (!status_.ok()) return;
  }
}

}  // namespace arcshard::shard
