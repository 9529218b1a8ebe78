#pragma once

#include "absl/status/status.h"
#include "worker/training/all_reduce/all_reduce.h"
#include "worker/training/worker_state.h"

namespace arcshard::worker {

// Gives the state of the worker with rank `sender`, bit by bit, to those workers of the view that take it. All of them
// call this, with states of the same layout. takes: this worker's state is replaced, at the end and as a whole. After
// an error it is unchanged; errors are those of AllReduce::Broadcast and Replace.
absl::Status ShareState(AllReduce* all_reduce, int sender, bool takes, const WorkerState& state);

}  // namespace arcshard::worker
