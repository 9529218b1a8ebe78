#include "worker/data/recordio/record_dataset.h"

#include <cassert>
#include <cmath>

#include "common/base/status_macros.h"
#include "worker/data/formats/property.h"

namespace arcshard::worker {
namespace {

absl::Status ShorterThanItsHeader(const std::string& record, absl::string_view payload) {
  return absl::DataLossError(
      absl::StrCat(record, ": ", payload.size(), " bytes are fewer than the record's header needs"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<RecordDataset>> RecordDataset::Open(const std::string& folder, int64_t classes) {
  if (classes < 0) return absl::InvalidArgumentError(absl::StrCat("a data set can't have ", classes, " classes"));
  if (classes == 0) {
    ASSIGN_OR_RETURN(classes, ReadProperty(absl::StrCat(folder, "/property")));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<RecordFile> records,
                   RecordFile::Open(absl::StrCat(folder, "/train.rec"), absl::StrCat(folder, "/train.idx")));
  auto dataset = std::unique_ptr<RecordDataset>(new RecordDataset(std::move(records), classes));
  RETURN_IF_ERROR(dataset->FindImages());
  return dataset;
}

absl::Status RecordDataset::FindImages() {
  samples_ = records_->size();
  if (!records_->Contains(0)) return absl::OkStatus();
  std::string payload;
  RecordHeader header;
  absl::Status read = records_->Read(0, &payload);
  if (read.ok() && !header.Parse(payload)) read = ShorterThanItsHeader(absl::StrCat("record 0 of ", path()), payload);
  if (absl::IsDataLoss(read)) return FindImagesWithoutHeader(std::move(read));
  RETURN_IF_ERROR(read);
  if (header.labels == 0 || header.end < payload.size()) return absl::OkStatus();

  const float first_identity = header.label;
  if (header.labels < 2 || !(first_identity >= 2) || first_identity > 0x1p53f ||
      std::floor(first_identity) != first_identity || !(header.second_label >= first_identity)) {
    return absl::InvalidArgumentError(absl::StrCat("record 0 of ", path(), " is a header with ", header.labels,
                                                   " labels, of which the first is ", header.label,
                                                   "; they are not a range of identity records"));
  }
  first_ = 1;
  samples_ = static_cast<int64_t>(first_identity) - 1;
  if (samples_ >= records_->size() || records_->number(samples_) != samples_) {
    return absl::InvalidArgumentError(absl::StrCat("record 0 of ", path(), " announces images in records 1 to ",
                                                   samples_, ", but the index doesn't have all of them"));
  }
  return FindLastImage();
}

absl::StatusOr<RecordDataset::Content> RecordDataset::ContentOf(int64_t i, RecordHeader* header) const {
  std::string payload;
  const absl::Status status = records_->Read(records_->number(i), &payload);
  if (absl::IsDataLoss(status) || (status.ok() && !header->Parse(payload))) return Content::kDamaged;
  RETURN_IF_ERROR(status);
  return header->labels > 0 && header->end == payload.size() ? Content::kIdentity : Content::kImage;
}

absl::Status RecordDataset::FindImagesWithoutHeader(absl::Status why) {
  for (int64_t last = records_->size() - 1; last > 0; --last) {
    RecordHeader header;
    ASSIGN_OR_RETURN(const Content content, ContentOf(last, &header));
    if (content == Content::kDamaged) continue;
    if (content == Content::kImage) return absl::OkStatus();  // record 0 is an image too, a damaged one
    // The images of the last identity are the last images.
    first_ = 1;
    samples_ = header.second_label >= 2 && header.second_label <= static_cast<float>(last)
                   ? static_cast<int64_t>(header.second_label) - 1
                   : last;
    damage_ = Annotate(why, "the header");
    return FindLastImage();
  }
  return absl::OkStatus();
}

std::vector<std::string> RecordDataset::Warnings() const {
  if (damage_.ok()) return {};
  return {absl::StrCat(absl::string_view(damage_.message()), "; the last record tells which records are images")};
}

absl::Status RecordDataset::FindLastImage() {
  RecordHeader header;
  Content content;
  for (; samples_ > 1; --samples_) {
    ASSIGN_OR_RETURN(content, ContentOf(samples_, &header));
    if (content != Content::kIdentity) break;
  }
  for (; samples_ + 1 < records_->size(); ++samples_) {
    ASSIGN_OR_RETURN(content, ContentOf(samples_ + 1, &header));
    if (content != Content::kImage) break;
  }
  return absl::OkStatus();
}

absl::Status RecordDataset::ReadEncoded(int64_t sample, EncodedSample* encoded) const {
  assert(sample >= 0 && sample < samples_);
  encoded->image_begin = std::string::npos;
  RETURN_IF_ERROR(records_->Read(record(sample), &encoded->payload));
  RecordHeader header;
  if (!header.Parse(encoded->payload)) return ShorterThanItsHeader(NameOf(sample), encoded->payload);
  if (!(header.label >= 0) || std::floor(header.label) != header.label ||
      header.label >= static_cast<double>(classes_)) {
    return absl::InvalidArgumentError(absl::StrCat(NameOf(sample), " has label ", header.label, ", but with N = ",
                                                   classes_, " classes labels are 0 to ", classes_ - 1));
  }
  encoded->label = static_cast<int64_t>(header.label);
  encoded->image_begin = header.end;
  return absl::OkStatus();
}

}  // namespace arcshard::worker
