#pragma once

#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "shard_server/head/head.h"
#include "shard_server/state/log/replay_record.h"

namespace arcshard::shard {

// Carries out the decision in a record on a head. Thread-compatible; keeps memory for the next record.
class RecordApplier {
 public:
  // Ends the step that the head has in hand: pass 2 of a committed one, or the end of a skipped one. Requires: `record`
  // is decided and complete. Errors as of Head::Update; a skip has none.
  absl::Status Apply(const ReplayRecord& record, head::Head* head);

  // Forms the gradient of the step that the head has in hand, whose record is complete and may be undecided, until
  // `stop` returns true; see Head::FormGradient.
  absl::Status FormGradient(const ReplayRecord& record, head::Head* head, absl::FunctionRef<bool()> stop);

  // Carries out a whole step without its pass 1; the head then holds the same bits. Requires: as above, and the head
  // has no step in hand. Errors as of Head::Begin and Head::Update.
  absl::Status Replay(const ReplayRecord& record, head::Head* head);

 private:
  absl::Span<const head::Group> GroupsOf(const ReplayRecord& record, int64_t dim);

  std::vector<head::Group> groups_;
  std::vector<int64_t> labels_;
};

// Appends the labels of all micro-batches in the plan's order: with them a step begins where classes are sampled.
void AppendLabels(const ReplayRecord& record, std::vector<int64_t>* labels);

// Checks what Apply and Replay rely on in a record that was received: it is decided; of a committed step every
// micro-batch of the plan is in one group, and labels, embedding (of `dim` dimensions), r and t have its size.
// InvalidArgument: it is not so.
absl::Status CheckReceived(const ReplayRecord& record, int64_t dim);

}  // namespace arcshard::shard
