#include "worker/data/formats/image_files_dataset.h"

#include <cstddef>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "worker/data/formats/fingerprint.h"
#include "worker/data/formats/image_folder.h"

namespace arcshard::worker {
namespace {

// Twice the raw pixels, at 16 bits and with alpha, of the largest image that is decoded.
constexpr uint64_t kMaxFileBytes = uint64_t{1} << 28;

}  // namespace

ImageFilesDataset::ImageFilesDataset(ImageFiles files) : files_(std::move(files)) {
  Fingerprint fingerprint;
  fingerprint.Add(static_cast<uint64_t>(files_.classes()));
  for (int64_t i = 0; i < files_.size(); ++i) {
    fingerprint.Add(files_.relative_path(i));
    fingerprint.Add(static_cast<uint64_t>(files_.label(i)));
  }
  fingerprint_ = fingerprint.value();
}

std::string ImageFilesDataset::Suffixes() const {
  std::map<std::string, int64_t> counts;
  for (int64_t i = 0; i < files_.size(); ++i) ++counts[SuffixOf(files_.relative_path(i))];
  std::string text;
  for (const auto& [suffix, count] : counts) {
    absl::StrAppend(&text, text.empty() ? "" : ", ", count, suffix.empty() ? " without a suffix" : " .", suffix);
  }
  return text;
}

absl::Status ImageFilesDataset::ReadEncoded(int64_t sample, EncodedSample* encoded) const {
  const std::string path = files_.full_path(sample);
  encoded->image_begin = std::string::npos;
  ASSIGN_OR_RETURN(const ReadableFile file, ReadableFile::Open(path));
  if (file.size() > kMaxFileBytes) {
    return absl::DataLossError(absl::StrCat(path, ": ", file.size(), " bytes; an image has at most ", kMaxFileBytes));
  }
  encoded->payload.resize(file.size());
  RETURN_IF_ERROR(file.ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(encoded->payload.data()), file.size())));
  encoded->image_begin = 0;
  encoded->label = files_.label(sample);
  return absl::OkStatus();
}

}  // namespace arcshard::worker
