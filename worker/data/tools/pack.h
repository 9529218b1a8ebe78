#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"
#include "worker/data/tools/survey.h"

namespace arcshard::worker {

struct PackOptions {
  int resize = 0;             // pixels: images of another size are resized to resize × resize; 0: no resizing
  bool skip_damaged = false;  // leaves damaged images out; otherwise they are an error
  bool force = false;         // replaces existing files
  int threads = 1;
  ProgressFunction progress = nullptr;
};

struct UnpackOptions {
  bool skip_damaged = false;
  int threads = 1;
  ProgressFunction progress = nullptr;
};

struct PackReport {
  int64_t classes = 0;
  int64_t images = 0;
  int64_t bytes = 0;  // the size of train.rec, or of all images
  int width = 0;      // as in property
  int height = 0;
  bool mixed = false;   // images have different sizes; property has the most frequent one
  bool ordered = true;  // images are sorted by class; otherwise there are no header and no identities
  std::vector<DamagedSample> left_out;
};

// Writes a data set in InsightFace's layout: OUT/train.rec, train.idx and property.
//
//   record 0                the header, with labels [first identity record, one past the last]
//   records 1..n            the images, in the order of the samples
//   records n+1..n+N        the identities, each with labels [first image record, one past the last]
//
// An identity's images must be neighbours. If a list has them in another order, the order is kept, because training
// draws samples by their number; then neither a header nor identities are written. InsightFace and RecordDataset read
// such images too. Images keep their bytes, except that with `resize` those of another size are encoded again, JPEG as
// JPEG and PNG as PNG.
//
// train.rec is written last, so if it exists the data set is complete. AlreadyExists: OUT has such files.
// FailedPrecondition: they are those of `dataset`, or OUT is its folder of images or lies in it.
// InvalidArgument: more classes than a record's float32 label can represent. Damaged images: see CheckSound. Other
// errors are those of reading samples and of common/io.
absl::StatusOr<PackReport> PackDataset(const EncodedDataset& dataset, const std::string& out,
                                       const PackOptions& options);

// Writes a data set as image files in the seed's layout (seed_folders.h): OUT/property and OUT/00000017/00000123.jpg or
// .png, named by label and number of the sample, with the images' bytes. OUT appears when it is complete, or not at
// all. AlreadyExists: OUT exists and is not an empty folder. FailedPrecondition: it lies in the folder of the images.
// Other errors as for PackDataset.
absl::StatusOr<PackReport> UnpackDataset(const EncodedDataset& dataset, const std::string& out,
                                         const UnpackOptions& options);

}  // namespace arcshard::worker
