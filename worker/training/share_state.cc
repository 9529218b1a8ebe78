#include "worker/training/share_state.h"

#include "common/base/status_macros.h"

namespace arcshard::worker {

absl::Status ShareState(AllReduce* all_reduce, int sender, bool takes, const WorkerState& state) {
  FlatState values = Flatten(state);
  ASSIGN_OR_RETURN(values.floats, all_reduce->Broadcast(values.floats, sender));
  ASSIGN_OR_RETURN(values.integers, all_reduce->Broadcast(values.integers, sender));
  return takes ? Replace(values, state) : absl::OkStatus();
}

}  // namespace arcshard::worker
