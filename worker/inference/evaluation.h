#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/backbone/backbone.h"
#include "worker/data/formats/verification_set.h"
#include "worker/inference/embedding.h"
#include "worker/training/all_reduce.h"
#include "worker/verification/verification.h"

namespace arcshard::worker {

// Verifies a set in one process. DataLoss: an image cannot be decoded; names the set and the image.
absl::StatusOr<VerificationResult> VerifySet(Backbone* backbone, const VerificationSet& set,
                                             const EmbedOptions& options);

// Verifies the sets together with the other workers of the view: each embeds its share, the embeddings are summed, and
// every worker gets all results. This worker is number `position` of `workers`. Errors of VerifySet and AllReduce::Sum.
absl::StatusOr<std::vector<VerificationResult>> VerifyTogether(Backbone* backbone,
                                                               absl::Span<const std::unique_ptr<VerificationSet>> sets,
                                                               const EmbedOptions& options, size_t position,
                                                               size_t workers, AllReduce* all_reduce);

// Converts the result of a set into the report that messages and logs use.
VerificationReport ReportOf(const VerificationSet& set, const VerificationResult& result);

// The sets that verification.sets names.
absl::StatusOr<std::vector<std::unique_ptr<VerificationSet>>> LoadVerificationSets(
    const std::vector<std::string>& paths);

}  // namespace arcshard::worker
