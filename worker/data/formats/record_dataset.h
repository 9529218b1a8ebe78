#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "worker/data/dataset.h"
#include "worker/data/formats/record_file.h"

namespace arcshard::worker {

// A training set in InsightFace's layout: a folder with train.rec, train.idx and property ("classes,height,width").
//
// A record's payload begins with a RecordHeader. Where record 0 has labels and no image, it is InsightFace's header:
// its labels are the first identity record f and the end of those, and the images are records 1..f-1. Otherwise every
// record is an image. Samples are numbered from 0 in the order of their records.
class RecordDataset final : public EncodedDataset {
 public:
  // `classes`: N as configured; 0: as property says. NotFound: a file is missing. InvalidArgument: property or header
  // make no sense. Others as RecordFile::Open.
  static absl::StatusOr<std::unique_ptr<RecordDataset>> Open(const std::string& folder, int64_t classes);

  absl::Status ReadEncoded(int64_t sample, EncodedSample* encoded) const override;

  int64_t samples() const override { return samples_; }
  int64_t classes() const override { return classes_; }
  uint64_t fingerprint() const override { return records_->fingerprint(); }
  std::string path() const override { return records_->path(); }
  std::string NameOf(int64_t sample) const override { return absl::StrCat("record ", record(sample), " of ", path()); }
  // The number of the record that holds a sample.
  int64_t record(int64_t sample) const { return records_->number(first_ + sample); }

 private:
  RecordDataset(std::unique_ptr<RecordFile> records, int64_t classes)
      : records_(std::move(records)), classes_(classes) {}
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
