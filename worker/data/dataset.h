#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "worker/data/record_file.h"

namespace arcshard::worker {

// One sample as it lies in the file. Reused from sample to sample, so that reading allocates nothing in the end.
struct EncodedSample {
  int64_t label = 0;
  std::string payload;

  // JPEG or PNG: what follows the record's header.
  absl::string_view image() const { return absl::string_view(payload).substr(image_begin); }

  size_t image_begin = 0;
};

// A training set in InsightFace's layout: a folder with train.rec, train.idx and property ("classes,height,width").
//
// A record's payload begins with MXNet's IRHeader: flag (uint32), label (float32), id, id2 (uint64 each); flag > 0: so
// many float32 labels follow and replace the label. Where record 0 has labels and no image, it is InsightFace's header:
// its labels are the first identity record f and the end of those, and the images are records 1..f-1. Otherwise every
// record is an image. Samples are numbered from 0 in the order of their records.
//
// Thread-safe.
class Dataset {
 public:
  // `classes`: N as configured; 0: as property says. NotFound: a file is missing. InvalidArgument: property or header
  // make no sense. Others as RecordFile::Open.
  static absl::StatusOr<std::unique_ptr<Dataset>> Open(const std::string& folder, int64_t classes);

  // DataLoss: the record is damaged. InvalidArgument: its label is not one of 0..N-1. Unavailable: the device failed.
  absl::Status Read(int64_t sample, EncodedSample* encoded) const;

  int64_t samples() const { return samples_; }
  int64_t classes() const { return classes_; }
  // A hash over the index: what tells two processes that they read the same data.
  uint64_t fingerprint() const { return records_->fingerprint(); }
  const std::string& path() const { return records_->path(); }
  // The number of the record that holds a sample.
  int64_t record(int64_t sample) const { return records_->number(first_ + sample); }

 private:
  Dataset(std::unique_ptr<RecordFile> records, int64_t classes) : records_(std::move(records)), classes_(classes) {}
  // Tells images from header and identities.
  absl::Status FindImages();
  // The header's float32 names records above 2^24 only roughly: moves the end of the images to where it is, nearby.
  absl::Status FindLastImage();

  const std::unique_ptr<RecordFile> records_;
  const int64_t classes_;
  int64_t first_ = 0;  // where the first image stands among the sorted records
  int64_t samples_ = 0;
};

}  // namespace arcshard::worker
