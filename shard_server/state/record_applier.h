#pragma once

#include <vector>

#include "absl/status/status.h"
#include "shard_server/head/head.h"
#include "shard_server/state/replay_record.h"

namespace arcshard::shard {

// Carries out the decision in a record on a head: pass 2 of a committed step, or the end of a skipped one.
// Thread-compatible; keeps memory for the next record.
class RecordApplier {
 public:
  // Requires: `record` is decided and complete. Errors as of Head::Update; a skip has none.
  absl::Status Apply(const ReplayRecord& record, head::Head* head);

 private:
  std::vector<head::Group> groups_;
};

}  // namespace arcshard::shard
