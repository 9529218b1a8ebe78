#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "common/config/run_config.h"
#include "worker/backbone/backbone.h"
#include "worker/data/image.h"
#include "worker/data/verification_set.h"
#include "worker/training/all_reduce.h"
#include "worker/verification/verification.h"

namespace arcshard::worker {

struct EmbedOptions {
  Normalization normalization;
  int64_t batch_size = 64;  // images of one forward pass
};

// The embeddings of a verification set's images [begin, end) and of their mirror images, into rows [begin, end) of
// `originals` and `flips` (both images()×D, row-major). Changes nothing in the backbone.
// DataLoss: an image cannot be decoded; names the set and the image.
absl::Status EmbedImages(Backbone* backbone, const VerificationSet& set, const EmbedOptions& options, int64_t begin,
                         int64_t end, absl::Span<float> originals, absl::Span<float> flips);

// One process verifies a set by itself.
absl::StatusOr<VerificationResult> VerifySet(Backbone* backbone, const VerificationSet& set,
                                             const EmbedOptions& options);

// The workers of a view verify the sets together: each embeds its share, the embeddings are summed, everyone gets all
// results. `position` of `workers`. Errors of AllReduce::Sum too.
absl::StatusOr<std::vector<VerificationResult>> VerifyTogether(Backbone* backbone,
                                                               absl::Span<const std::unique_ptr<VerificationSet>> sets,
                                                               const EmbedOptions& options, size_t position,
                                                               size_t workers, AllReduce* all_reduce);

// The sets that verification.sets names.
absl::StatusOr<std::vector<std::unique_ptr<VerificationSet>>> LoadVerificationSets(
    const std::vector<std::string>& paths);

}  // namespace arcshard::worker
