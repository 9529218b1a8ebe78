#pragma once

#include <memory>

#include "absl/status/status.h"
#include "cli/insightface/insightface_state.h"

namespace arcshard::cli {

// Adds the moments of the last rank in `state` and, with `of_backbone`, those of the backbone. optimizer: the
// state_optimizer of a checkpoint_gpu_<r>.pt, which is the state_dict of torch.optim.SGD or AdamW; its last parameter
// is the class centers, and the others are the backbone's in order. Moments that are not of that form, do not have the
// shape of their parameter, or belong to another optimizer than the rest, are left out with a note; if one of the
// backbone's does not fit, all of the backbone's are left out. If AdamW's step counts differ between the backbone's
// parameters, the smallest is taken, with a note. InvalidArgument: a step count is not a valid number. Other errors are
// those of TorchFile.
absl::Status AddOptimizerState(const std::shared_ptr<const TorchFile>& file, const PickleValue& optimizer,
                               bool of_backbone, InsightFaceState* state);

// If only some ranks have moments, removes them, with a note: they are of no use.
void DropPartialMoments(InsightFaceState* state);

}  // namespace arcshard::cli
