#pragma once

#include <memory>

#include "absl/status/status.h"
#include "cli/insightface/insightface_state.h"

namespace arcshard::cli {

// Adds the moments of the last rank in `state`, and with `of_backbone` the backbone's, from what a
// checkpoint_gpu_<r>.pt has as state_optimizer: torch.optim.SGD's or AdamW's state_dict, whose last parameter is the
// class centers and whose others are the backbone's in order. What is not of that form, not of its parameter's shape or
// of another optimizer than the rest is left out and noted: of the backbone, where one does not fit, all. If its
// parameters have counted AdamW's steps differently, the fewest are taken, and noted.
// InvalidArgument: a count of steps is none. Else as TorchFile.
absl::Status AddOptimizerState(const std::shared_ptr<const TorchFile>& file, const PickleValue& optimizer,
                               bool of_backbone, InsightFaceState* state);

// Moments that only some ranks have are of no use: leaves them out, and notes that.
void DropPartialMoments(InsightFaceState* state);

}  // namespace arcshard::cli
