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
  absl::Status status;  // DataLoss: its bytes are damaged; the message names the sample
};

// The result of reading and decoding every image. An image is sound if both succeeded.
struct Survey {
  int64_t images = 0;                            // sound ones
  int64_t bytes = 0;                             // of the sound images, as encoded
  std::map<std::pair<int, int>, int64_t> sizes;  // (width, height) in pixels -> number of images
  std::vector<int64_t> labels;                   // (samples); -1: not sound; verification sets: empty
  std::vector<int64_t> of_class;                 // (N): sound images of each class; verification sets: empty
  std::vector<DamagedSample> damaged;            // sorted by sample
};

// Reads and decodes a whole data set with `threads` threads. Requires: threads >= 1.
Survey SurveyDataset(const EncodedDataset& dataset, int threads);
// The same for the 2·P images of a verification set.
Survey SurveySet(const VerificationSet& set, int threads);

// The size that most images have, the smallest one if there are several; (0, 0): there are no images.
std::pair<int, int> MostFrequentSize(const Survey& survey);

// Returns OK if no image is damaged, and otherwise the first one's code with a message that names the first few.
// `verb`: what can't be done with them, as in "packed". `may_skip`: images whose status is DataLoss are accepted.
absl::Status CheckSound(const Survey& survey, const std::string& path, absl::string_view verb, bool may_skip);

// A readable report in lines: counts, sizes, a histogram of images per class, classes without images, damaged images,
// of which at most `damaged_lines` are named.
std::string SurveyText(const Survey& survey, int64_t damaged_lines);

}  // namespace arcshard::worker
