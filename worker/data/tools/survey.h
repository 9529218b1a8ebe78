#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "worker/data/dataset.h"
#include "worker/data/formats/verification_set.h"

namespace arcshard::worker {

struct DamagedSample {
  int64_t sample = 0;
  absl::Status status;  // DataLoss: its bytes are damaged. The message names it
};

// What a look at every image tells. "Sound": it could be read and decoded.
struct Survey {
  int64_t images = 0;                            // that are sound
  int64_t bytes = 0;                             // of these, as encoded
  std::map<std::pair<int, int>, int64_t> sizes;  // (width, height) in pixels, and how many have it
  std::vector<int64_t> labels;                   // (samples): -1: not sound; verification sets: empty
  std::vector<int64_t> of_class;                 // (N): sound images; verification sets: empty
  std::vector<DamagedSample> damaged;            // by sample
};

// Reads and decodes all of a data set with `threads` threads.
Survey SurveyDataset(const EncodedDataset& dataset, int threads);
// The same for the 2·P images of a verification set.
Survey SurveySet(const VerificationSet& set, int threads);

// The size that most images have, the smaller one of two; (0, 0): there is none.
std::pair<int, int> MostFrequentSize(const Survey& survey);

// OK unless something is damaged: then a sentence with the first few of them, and the code of the first. `verb`: what
// they stand in the way of, "packed". `may_skip`: DataLoss is fine.
absl::Status CheckSound(const Survey& survey, const std::string& path, absl::string_view verb, bool may_skip);

// For people, in lines: counts, sizes, a histogram of images per class, classes without images, what is damaged.
// `damaged_lines`: how many of the damaged are named at most.
std::string SurveyText(const Survey& survey, int64_t damaged_lines);

}  // namespace arcshard::worker
