#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "common/checkpoint/manifest.h"
#include "common/config/run_config.h"
#include "common/protocol/messages.h"
#include "common/protocol/sample_plan.h"

namespace arcshard::coordinator {

// The checkpoint that a run resumes from.
struct ResumePoint {
  std::string folder;
  Manifest manifest;
};

// Whether the run of `config` over `data` and `num_classes` classes, whose plan is `plan`, can resume from the
// checkpoint. FailedPrecondition: the training set is not the one that the checkpoint was made with, or the checkpoint
// lies beyond the plan's last step.
absl::Status CheckResumed(const ResumePoint& resume, const RunConfig& config, const DatasetReport& data,
                          int64_t num_classes, const SamplePlan& plan);

}  // namespace arcshard::coordinator
