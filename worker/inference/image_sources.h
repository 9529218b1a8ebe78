#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "worker/data/formats/verification_set.h"
#include "worker/inference/embedding.h"

namespace arcshard::worker {

// Images that lie somewhere under names.
class NamedImages : public ImageSource {
 public:
  virtual std::string path() const = 0;
  // The path below a folder's, "record 17", or "image 3" of a verification set.
  virtual std::string NameOf(int64_t image) const = 0;
};

// The images of a verification set, which outlives the result. They have no labels.
std::unique_ptr<NamedImages> ImagesOf(const VerificationSet& set);

// What lies at `path`: a training set of any format but synthetic; its train.rec; a folder of images that is no
// training set; a single image; a verification set (.bin). The last three have no labels. NotFound, InvalidArgument,
// DataLoss and so on: as of those, and of a file that is none of these.
absl::StatusOr<std::unique_ptr<NamedImages>> OpenImages(const std::string& path);

}  // namespace arcshard::worker
