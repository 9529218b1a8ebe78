#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/backbone/backbone.h"
#include "worker/data/formats/verification_set.h"
#include "worker/inference/embedding.h"
#include "worker/training/all_reduce/all_reduce.h"
#include "worker/verification/verification.h"

namespace arcshard::worker {

// Verifies a set in one process. DataLoss: an image cannot be decoded; names the set and the image.
absl::StatusOr<VerificationResult> VerifySet(Backbone* backbone, const VerificationSet& set,
                                             const EmbedOptions& options);

// A worker among those that verify together.
struct VerificationShare {
  size_t position = 0;
  size_t workers = 1;
};

// How many images of all sets together are the worker's share.
int64_t ImagesOfShare(absl::Span<const std::unique_ptr<VerificationSet>> sets, const VerificationShare& share);

// What training would otherwise learn at its first verification: checks that each set has a pair for each fold, and
// that the images of this worker's share can be decoded at `side` × `side` pixels, on `threads` threads. `after_images`
// is called by the calling thread whenever further images are decoded, with the number of those of all sets so far;
// null: is not called. InvalidArgument, DataLoss: names the set, what is wrong, and what to do. An error of
// `after_images` abandons the check, and is returned as it is.
absl::Status CheckSets(absl::Span<const std::unique_ptr<VerificationSet>> sets, int side, int threads,
                       const VerificationShare& share,
                       const std::function<absl::Status(int64_t images)>& after_images = nullptr);

// Verifies the sets together with the other workers of the view: each embeds its share, the embeddings are summed, and
// every worker gets all results, one for each set. A set whose images one of the workers could not embed has an error
// everywhere; that worker's says why. `options.after_batch` gets the images of all sets so far. Errors: that of
// `after_batch`, after which the other workers must abandon the verification too, and those of AllReduce::Sum.
absl::StatusOr<std::vector<absl::StatusOr<VerificationResult>>> VerifyTogether(
    Backbone* backbone, absl::Span<const std::unique_ptr<VerificationSet>> sets, const EmbedOptions& options,
    const VerificationShare& share, AllReduce* all_reduce);

// Converts the result of a set into the report that messages and logs use.
VerificationReport ReportOf(const VerificationSet& set, const VerificationResult& result);

// The sets that verification.sets names.
absl::StatusOr<std::vector<std::unique_ptr<VerificationSet>>> LoadVerificationSets(
    const std::vector<std::string>& paths);

}  // namespace arcshard::worker
