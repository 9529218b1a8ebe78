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
#include "worker/data/tools/progress_function.h"

namespace arcshard::worker {

struct DamagedSample {
  int64_t sample = 0;   // -1: it is no sample, but the data set's header
  absl::Status status;  // DataLoss: its bytes are damaged; the message names the sample
};

struct ClassCount {
  int64_t label = 0;
  int64_t images = 0;
  friend bool operator==(const ClassCount&, const ClassCount&) = default;
};

// The result of reading and decoding every image. An image is sound if both succeeded. Its memory grows with the number
// of samples and not with that of the classes, which may be anything that somebody wrote into a file.
struct Survey {
  int64_t images = 0;                            // sound ones
  int64_t bytes = 0;                             // of the sound images, as encoded
  int64_t without_end = 0;                       // sound images that lack the end marker, a PNG its IEND
  int64_t turned = 0;                            // sound images whose EXIF data ask for another orientation
  std::map<std::pair<int, int>, int64_t> sizes;  // (width, height) in pixels -> number of images
  std::vector<int64_t> labels;                   // (samples); -1: not sound; verification sets: empty
  int64_t classes = 0;                           // N; verification sets: 0
  std::vector<ClassCount> of_class;              // the classes that have sound images, sorted by label
  std::vector<DamagedSample> damaged;            // sorted by sample
};

// Reads and decodes a whole data set with `threads` threads. Requires: threads >= 1.
Survey SurveyDataset(const EncodedDataset& dataset, int threads, const ProgressFunction& progress = nullptr);
// The same for the 2·P images of a verification set.
Survey SurveySet(const VerificationSet& set, int threads, const ProgressFunction& progress = nullptr);

// The size that most images have, the smallest one if there are several; (0, 0): there are no images.
std::pair<int, int> MostFrequentSize(const Survey& survey);

// Returns OK if no image is damaged, and otherwise the first one's code with a message that names the first few.
// `verb`: what can't be done with them, as in "packed". `may_skip`: images whose status is DataLoss are accepted.
absl::Status CheckSound(const Survey& survey, const std::string& path, absl::string_view verb, bool may_skip);

// A readable report in lines: counts, sizes, a histogram of images per class, classes without images, damaged images,
// of which at most `damaged_lines` are named.
std::string SurveyText(const Survey& survey, int64_t damaged_lines);

}  // namespace arcshard::worker
