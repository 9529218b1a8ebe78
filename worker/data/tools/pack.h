#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/dataset.h"
#include "worker/data/tools/survey.h"

namespace arcshard::worker {

struct PackOptions {
  int resize = 0;             // pixels: images of another size are brought to resize × resize; 0: taken as they are
  bool skip_damaged = false;  // leave damaged images out; otherwise they are a reason to refuse
  bool force = false;         // replace what is there
  int threads = 1;
};

struct UnpackOptions {
  bool skip_damaged = false;
  int threads = 1;
};

struct PackReport {
  int64_t classes = 0;
  int64_t images = 0;
  int64_t bytes = 0;  // of train.rec, or of all images
  int width = 0;      // as property says
  int height = 0;
  bool mixed = false;   // images have different sizes; property has the most frequent
  bool ordered = true;  // by class; otherwise pack left header and identities out
  std::vector<DamagedSample> left_out;
};

// Writes a data set in InsightFace's layout: OUT/train.rec, train.idx and property.
//
//   record 0                its header: labels [first identity record, one past the last]
//   records 1..n            the images, in the order of the samples
//   records n+1..n+N        an identity each: labels [first image record, one past the last]
//
// An identity's images must be neighbours. Where a list has them in another order, the order stays, because training
// draws samples by their number, and there is neither header nor identities: InsightFace and RecordDataset read the
// images all the same. Packed images have the bytes that they had; with `resize`, those of another size are encoded
// again, JPEG as JPEG and PNG as PNG.
//
// train.rec comes last: where it is, all of it is. AlreadyExists: OUT has such files. InvalidArgument: more classes
// than a record's float32 label can name. Damaged images: as of CheckSound. Others as of reading and of common/io.
absl::StatusOr<PackReport> PackDataset(const EncodedDataset& dataset, const std::string& out,
                                       const PackOptions& options);

// The inverse, in the seed's layout (seed_folders.h): OUT/property and OUT/00000017/00000123.jpg or .png, by label and
// number of the sample, with the bytes that the images have. OUT appears whole, or not at all. AlreadyExists: OUT is
// there and not empty. Others as of PackDataset.
absl::StatusOr<PackReport> UnpackDataset(const EncodedDataset& dataset, const std::string& out,
                                         const UnpackOptions& options);

}  // namespace arcshard::worker
