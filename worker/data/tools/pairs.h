#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/data/dataset.h"
#include "worker/data/tools/progress_function.h"

namespace arcshard::worker {

struct PairOptions {
  int64_t pairs = 6000;
  int64_t folds = 10;
  uint64_t seed = 1;
};

struct ImagePair {
  int64_t first = 0;   // sample
  int64_t second = 0;  // sample
  bool same = false;   // whether they are of the same class
  friend bool operator==(const ImagePair&, const ImagePair&) = default;
};

// Draws the pairs of a verification set from the seed. Folds follow one another; each has as many pairs of the same
// class as of different classes, and the latter come last, as in LFW. No pair of images is drawn twice. For pairs of
// the same class, the classes take turns until they have no further pairs; pairs of different classes are drawn
// uniformly.
//
// `labels`: of each sample; samples with a negative one are not used. InvalidArgument: folds can't be balanced, or
// there are fewer pairs than wanted; the message says how many are possible.
absl::StatusOr<std::vector<ImagePair>> DrawPairs(absl::Span<const int64_t> labels, const PairOptions& options);

// Writes InsightFace's .bin file, which verification_set.h reads: a pickle of (2·P images, P flags). Images keep their
// bytes. The file appears when it is complete, or not at all. Errors are those of reading a sample and of common/io.
absl::Status WritePairs(const EncodedDataset& dataset, absl::Span<const ImagePair> pairs, const std::string& path,
                        const ProgressFunction& progress = nullptr);

}  // namespace arcshard::worker
