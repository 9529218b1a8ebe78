#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "worker/data/dataset.h"
#include "worker/data/verification_set.h"

namespace arcshard::worker {

struct DamagedSample {
  int64_t sample = 0;
  absl::Status status;  // DataLoss: its bytes. The message names it
};

// What a look at every image tells.
struct Survey {
  int64_t images = 0;                            // those that are sound
  int64_t bytes = 0;                             // of these, as encoded
  std::map<std::pair<int, int>, int64_t> sizes;  // (width, height) in pixels and how many have it
  std::vector<int64_t> of_class;                 // (N); verification sets: empty
  std::vector<DamagedSample> damaged;            // by sample
};

// Reads and decodes all of a data set with `threads` threads.
Survey SurveyDataset(const EncodedDataset& dataset, int threads);
// The same for the 2·P images of a verification set.
Survey SurveySet(const VerificationSet& set, int threads);

// The size that most images have, the smaller one of two; (0, 0): there is none.
std::pair<int, int> MostFrequentSize(const Survey& survey);

// For people, in lines: counts, sizes, a histogram of images per class, classes without images, what is damaged.
// `damaged_lines`: how many of the damaged are named at most.
std::string SurveyText(const Survey& survey, int64_t damaged_lines);

}  // namespace arcshard::worker
