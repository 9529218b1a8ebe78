#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "cli/check/finding.h"
#include "cli/check/run_history.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/io/file_system.h"
#include "shard_server/head/head.h"
#include "shard_server/state/log/record_applier.h"

namespace arcshard::cli {

// One head over all N classes of a run, which gets the records of its steps. However the run's shards divided the
// classes, and however often they were rebuilt, it has to hold the same bits.
class HeadCheck {
 public:
  // The head holds the state in which the history starts. Both outlive it. Errors are those of Head::Create, and of
  // what a shard restores its range with.
  static absl::StatusOr<std::unique_ptr<HeadCheck>> Create(FileSystem* files, const RunHistory* history);

  // Carries out the next step of the history. Errors as of RecordApplier::Replay.
  absl::Status Replay(const shard::ReplayRecord& record);

  // Compares the head with what shards have written into a checkpoint of this state: a finding for each file.
  std::vector<Finding> Compare(const OpenCheckpoint& checkpoint);

  head::Head* head() { return head_.get(); }

 private:
  explicit HeadCheck(std::unique_ptr<head::Head> head) : head_(std::move(head)) {}

  const std::unique_ptr<head::Head> head_;
  shard::RecordApplier applier_;
  uint64_t step_ = 0;   // of the state
  uint64_t equal_ = 0;  // the step up to which it is known to be equal
};

}  // namespace arcshard::cli
