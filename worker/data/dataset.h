#pragma once

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/images/image.h"

namespace arcshard::worker {

// One sample as it lies in a file.
struct EncodedSample {
  int64_t label = 0;
  std::string payload;

  // JPEG or PNG: what follows a record's header, or a whole file.
  absl::string_view image() const { return absl::string_view(payload).substr(image_begin); }

  size_t image_begin = 0;
};

struct LabeledImage {
  int64_t label = 0;
  const Image* image = nullptr;
};

// What a thread reads into, again and again, so that reading allocates nothing in the end.
struct SampleBuffers {
  EncodedSample encoded;
  ImageReader reader;
  Image drawn;
};

// A training set: samples 0, 1, 2, ..., each an image and a label in 0..N-1. Immutable; thread-safe.
class Dataset {
 public:
  virtual ~Dataset() = default;

  // The image at side × side pixels, valid until `buffers` are used again. The message names the sample. DataLoss: its
  // bytes are damaged, as they are for whoever reads them. InvalidArgument: its label is not one of 0..N-1. Any other
  // code: it could not be read here and now; NotFound: there is no such file, Unavailable: the device failed.
  virtual absl::StatusOr<LabeledImage> Read(int64_t sample, int side, SampleBuffers* buffers) const = 0;

  virtual int64_t samples() const = 0;
  virtual int64_t classes() const = 0;
  // What tells two processes that they read the same data: a hash over where the samples lie and what they are called,
  // not over their bytes, and not over the folder that they lie in.
  virtual uint64_t fingerprint() const = 0;
  // For messages: where the data set lies ("/data/train.rec"), and a sample in it ("record 3 of /data/train.rec").
  virtual std::string path() const = 0;
  virtual std::string NameOf(int64_t sample) const = 0;
};

// A data set of JPEG and PNG files or records.
class EncodedDataset : public Dataset {
 public:
  // The sample as it lies there; what its bytes decode to has not been looked at. Errors as of Read.
  virtual absl::Status ReadEncoded(int64_t sample, EncodedSample* encoded) const = 0;

  absl::StatusOr<LabeledImage> Read(int64_t sample, int side, SampleBuffers* buffers) const final;
};

}  // namespace arcshard::worker
