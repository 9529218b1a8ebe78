#include "worker/data/dataset.h"

#include <cmath>
#include <cstring>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard::worker {
namespace {

constexpr size_t kHeaderBytes = 24;  // flag, label, id, id2

// The labels of an IRHeader and where what follows them begins.
struct RecordHeader {
  float label = 0;
  float second_label = 0;
  uint32_t labels = 0;  // that follow the header; 0: the one inside it
  size_t end = 0;
};

// False: the payload is shorter than its header says.
bool ParseHeader(absl::string_view payload, RecordHeader* header) {
  if (payload.size() < kHeaderBytes) return false;
  std::memcpy(&header->labels, payload.data(), 4);
  std::memcpy(&header->label, payload.data() + 4, 4);
  if (header->labels > (payload.size() - kHeaderBytes) / 4) return false;
  header->end = kHeaderBytes + size_t{4} * header->labels;
  if (header->labels > 0) std::memcpy(&header->label, payload.data() + kHeaderBytes, 4);
  if (header->labels > 1) std::memcpy(&header->second_label, payload.data() + kHeaderBytes + 4, 4);
  return true;
}

absl::StatusOr<int64_t> ReadProperty(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path));
  const std::vector<absl::string_view> fields = absl::StrSplit(absl::StripAsciiWhitespace(text), ',');
  int64_t classes;
  if (fields.size() != 3 || !absl::SimpleAtoi(fields[0], &classes) || classes < 1) {
    return absl::InvalidArgumentError(absl::StrCat(path, " is not \"classes,height,width\" with at least one class"));
  }
  return classes;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Dataset>> Dataset::Open(const std::string& folder, int64_t classes) {
  if (classes < 0) return absl::InvalidArgumentError(absl::StrCat("a data set can't have ", classes, " classes"));
  if (classes == 0) {
    ASSIGN_OR_RETURN(classes, ReadProperty(absl::StrCat(folder, "/property")));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<RecordFile> records,
                   RecordFile::Open(absl::StrCat(folder, "/train.rec"), absl::StrCat(folder, "/train.idx")));
  auto dataset = std::unique_ptr<Dataset>(new Dataset(std::move(records), classes));
  RETURN_IF_ERROR(dataset->FindImages());
  return dataset;
}

absl::Status Dataset::FindImages() {
  samples_ = records_->size();
  if (!records_->Contains(0)) return absl::OkStatus();
  std::string payload;
  RETURN_IF_ERROR(records_->Read(0, &payload));
  RecordHeader header;
  if (!ParseHeader(payload, &header)) {
    return absl::InvalidArgumentError(absl::StrCat("record 0 of ", path(), " has no whole header"));
  }
  if (header.labels == 0 || header.end < payload.size()) return absl::OkStatus();

  const float first_identity = header.label;
  if (header.labels < 2 || !(first_identity >= 2) || first_identity > 0x1p53f ||
      std::floor(first_identity) != first_identity || !(header.second_label >= first_identity)) {
    return absl::InvalidArgumentError(absl::StrCat("record 0 of ", path(), " is a header of ", header.labels,
                                                   " labels, the first ", header.label,
                                                   ", which is not the range of the identity records"));
  }
  first_ = 1;
  samples_ = static_cast<int64_t>(first_identity) - 1;
  if (samples_ >= records_->size() || records_->number(samples_) != samples_) {
    return absl::InvalidArgumentError(absl::StrCat("record 0 of ", path(), " announces images in records 1 to ",
                                                   samples_, ", but the index doesn't have all of them"));
  }
  return FindLastImage();
}

absl::Status Dataset::FindLastImage() {
  enum class Content { kImage, kIdentity, kDamaged };
  std::string payload;
  const auto content_of = [&](int64_t i) -> absl::StatusOr<Content> {
    const absl::Status status = records_->Read(records_->number(i), &payload);
    RecordHeader header;
    if (absl::IsDataLoss(status) || (status.ok() && !ParseHeader(payload, &header))) return Content::kDamaged;
    RETURN_IF_ERROR(status);
    return header.labels > 0 && header.end == payload.size() ? Content::kIdentity : Content::kImage;
  };
  Content content;
  for (; samples_ > 1; --samples_) {
    ASSIGN_OR_RETURN(content, content_of(samples_));
    if (content != Content::kIdentity) break;
  }
  for (; samples_ + 1 < records_->size(); ++samples_) {
    ASSIGN_OR_RETURN(content, content_of(samples_ + 1));
    if (content != Content::kImage) break;
  }
  return absl::OkStatus();
}

absl::Status Dataset::Read(int64_t sample, EncodedSample* encoded) const {
  const int64_t number = record(sample);
  RETURN_IF_ERROR(records_->Read(number, &encoded->payload));
  RecordHeader header;
  if (!ParseHeader(encoded->payload, &header)) {
    return absl::DataLossError(absl::StrCat("record ", number, " of ", path(), ": ", encoded->payload.size(),
                                            " bytes are shorter than the record's own header"));
  }
  if (!(header.label >= 0) || std::floor(header.label) != header.label ||
      header.label >= static_cast<double>(classes_)) {
    return absl::InvalidArgumentError(absl::StrCat("record ", number, " of ", path(), " has label ", header.label,
                                                   ", but the run has N = ", classes_, " classes: labels are 0 to ",
                                                   classes_ - 1));
  }
  encoded->label = static_cast<int64_t>(header.label);
  encoded->image_begin = header.end;
  return absl::OkStatus();
}

}  // namespace arcshard::worker
