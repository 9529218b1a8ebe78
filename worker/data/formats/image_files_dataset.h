#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "worker/data/dataset.h"
#include "worker/data/formats/image_files.h"

namespace arcshard::worker {

// A training set of image files. ReadEncoded fails with NotFound where a file is missing, which ends the run, because
// its disk may not be mounted, and with DataLoss where a file is too large for any image.
class ImageFilesDataset final : public EncodedDataset {
 public:
  explicit ImageFilesDataset(ImageFiles files);

  absl::Status ReadEncoded(int64_t sample, EncodedSample* encoded) const override;

  int64_t samples() const override { return files_.size(); }
  int64_t classes() const override { return files_.classes(); }
  uint64_t fingerprint() const override { return fingerprint_; }  // covers paths below the root, labels and N
  std::string path() const override { return files_.path(); }
  std::string NameOf(int64_t sample) const override { return files_.full_path(sample); }
  std::vector<std::string> Warnings() const override { return files_.warnings(); }
  std::string Suffixes() const override;

 private:
  const ImageFiles files_;
  uint64_t fingerprint_ = 0;
};

}  // namespace arcshard::worker
