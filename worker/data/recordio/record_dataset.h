#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "worker/data/dataset.h"
#include "worker/data/recordio/record_file.h"
#include "worker/data/recordio/record_header.h"

namespace arcshard::worker {

// A training set in InsightFace's layout: a folder with train.rec, train.idx and property ("classes,height,width").
//
// A record's payload begins with a RecordHeader. If record 0 has labels and no image, it is InsightFace's header: its
// labels are the first identity record f and one past the last, and the images are records 1..f-1. Otherwise every
// record is an image. Where record 0 is damaged, the last record tells which of the two it is. Samples are numbered
// from 0 in the order of their records.
class RecordDataset final : public EncodedDataset {
 public:
  // `classes`: N as configured; 0: the number in property. NotFound: a file is missing. InvalidArgument: property or
  // the header are invalid. Other errors are RecordFile::Open's.
  static absl::StatusOr<std::unique_ptr<RecordDataset>> Open(const std::string& folder, int64_t classes);

  absl::Status ReadEncoded(int64_t sample, EncodedSample* encoded) const override;

  int64_t samples() const override { return samples_; }
  int64_t classes() const override { return classes_; }
  uint64_t fingerprint() const override { return records_->fingerprint(); }
  std::string path() const override { return records_->path(); }
  std::string NameOf(int64_t sample) const override { return absl::StrCat("record ", record(sample), " of ", path()); }
  absl::Status Damage() const override { return damage_; }
  std::vector<std::string> Warnings() const override;
  // The number of the record that holds a sample, which is in [0, samples()).
  int64_t record(int64_t sample) const { return records_->number(first_ + sample); }

 private:
  RecordDataset(std::unique_ptr<RecordFile> records, int64_t classes)
      : records_(std::move(records)), classes_(classes) {}
  enum class Content { kImage, kIdentity, kDamaged };
  // What the i-th record is. `header`: is set unless it is damaged.
  absl::StatusOr<Content> ContentOf(int64_t i, RecordHeader* header) const;
  // Finds which records are images, and not the header or identities.
  absl::Status FindImages();
  // The same where record 0 is damaged; `why` says how.
  absl::Status FindImagesWithoutHeader(absl::Status why);
  // Corrects samples_: above 2^24 the header's float32 is only near the number of the last image.
  absl::Status FindLastImage();

  const std::unique_ptr<RecordFile> records_;
  const int64_t classes_;
  int64_t first_ = 0;  // the index of the first image among the sorted records
  int64_t samples_ = 0;
  absl::Status damage_;  // of the header
};

}  // namespace arcshard::worker
