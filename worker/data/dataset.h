#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/images/image.h"
#include "worker/data/images/image_reader.h"

namespace arcshard::worker {

// One sample as it is stored in a file.
struct EncodedSample {
  int64_t label = 0;
  std::string payload;
  size_t image_begin = 0;

  // The JPEG or PNG: the part of a record after its header, or a whole file. Empty after a read that failed.
  absl::string_view image() const {
    return absl::string_view(payload).substr(image_begin < payload.size() ? image_begin : payload.size());
  }
};

struct LabeledImage {
  int64_t label = 0;
  const Image* image = nullptr;
};

// The buffers of a reading thread. Their memory is reused, so that after some samples reading allocates nothing.
struct SampleBuffers {
  EncodedSample encoded;
  ImageReader reader;
  Image drawn;
};

// A training set: samples 0, 1, 2, ..., each with an image and a label in 0..N-1. Immutable; thread-safe.
class Dataset {
 public:
  virtual ~Dataset() = default;

  // Returns the label and the image at side × side pixels, which is valid until `buffers` are used again. Messages name
  // the sample. DataLoss: its bytes are damaged; every process that reads them gets this error. InvalidArgument: its
  // label is not in 0..N-1. Other codes say why it could not be read here and now, such as NotFound: there is no such
  // file, or Unavailable: the device failed.
  virtual absl::StatusOr<LabeledImage> Read(int64_t sample, int side, SampleBuffers* buffers) const = 0;

  virtual int64_t samples() const = 0;
  virtual int64_t classes() const = 0;
  // Processes compare this hash to check that they read the same data. It covers the positions, names and labels of the
  // samples, but neither their bytes nor the path of the data set.
  virtual uint64_t fingerprint() const = 0;
  // For messages: the data set ("/data/train.rec"), and a sample in it ("record 3 of /data/train.rec").
  virtual std::string path() const = 0;
  virtual std::string NameOf(int64_t sample) const = 0;
  // Sentences on what the user may expect to be part of the data set and is not, such as pictures of other formats in
  // its folders. For the log.
  virtual std::vector<std::string> Warnings() const { return {}; }
};

// A data set of JPEG and PNG files or records.
class EncodedDataset : public Dataset {
 public:
  // Reads a sample without decoding its image. Errors are those of Read, except for those of decoding; after one,
  // `encoded` has no image.
  virtual absl::Status ReadEncoded(int64_t sample, EncodedSample* encoded) const = 0;

  // DataLoss: a part of the data set that is no sample is damaged. What it said is known from elsewhere.
  virtual absl::Status Damage() const { return absl::OkStatus(); }
  // How many files have which suffix: "3 .jpg, 50 .jfif". Empty: the samples are not files.
  virtual std::string Suffixes() const { return ""; }

  absl::StatusOr<LabeledImage> Read(int64_t sample, int side, SampleBuffers* buffers) const final;
};

}  // namespace arcshard::worker
