#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace arcshard::worker {

// The positions [first, first + size) of an epoch's permutation.
struct BatchRequest {
  uint64_t epoch = 0;
  int64_t first = 0;
  int64_t size = 0;
  friend bool operator==(const BatchRequest&, const BatchRequest&) = default;
};

// A sample that could not be decoded.
struct CorruptSample {
  int64_t sample = 0;
  std::string reason;  // names the file or record and says what is wrong with it
};

// The samples of a micro-batch, loaded, decoded and augmented: B = request.size samples at S × S pixels. It depends
// only on the request, the data and the loader's options.
struct LoadedBatch {
  BatchRequest request;
  std::vector<float> images;           // (B × 3 × S × S): R, G, B; normalised and augmented
  std::vector<int64_t> labels;         // (B)
  std::vector<int64_t> samples;        // (B): the sample at each place, after replacing corrupt ones
  std::vector<CorruptSample> corrupt;  // the samples that were replaced, each once, in the order of their places
};

}  // namespace arcshard::worker
