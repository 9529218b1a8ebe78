#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "worker/data/dataset.h"

namespace arcshard::worker {

struct PairOptions {
  int64_t pairs = 6000;
  int64_t folds = 10;
  uint64_t seed = 1;
};

struct ImagePair {
  int64_t first = 0;  // samples
  int64_t second = 0;
  bool same = false;  // class
  friend bool operator==(const ImagePair&, const ImagePair&) = default;
};

// The pairs of a verification set, fold by fold; of each, as many pairs of the same class as of different ones, these
// last, as LFW has them. No pair of images comes twice. Drawn from the seed: of the same class, a class gives its next
// pair when all others that have one have given as many; of different ones, uniformly from all there are.
//
// `labels`: of each sample; negative: it may not be used. InvalidArgument: folds can't be balanced, or there are fewer
// pairs than wanted; the sentence says how many are possible.
absl::StatusOr<std::vector<ImagePair>> DrawPairs(absl::Span<const int64_t> labels, const PairOptions& options);

// Writes InsightFace's .bin: a pickle of (2·P images, P flags), the images with the bytes they have (verification_set.h
// reads it). Whole or not at all. Errors of reading a sample, and of common/io.
absl::Status WritePairs(const EncodedDataset& dataset, absl::Span<const ImagePair> pairs, const std::string& path);

}  // namespace arcshard::worker
