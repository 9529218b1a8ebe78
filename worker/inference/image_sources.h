#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/data/formats/verification_set.h"
#include "worker/inference/embedding.h"

namespace arcshard::worker {

// Images with names, for messages and results.
class NamedImages : public ImageSource {
 public:
  virtual std::string path() const = 0;
  // The path below path(), "record 17", or "image 3" of a verification set.
  virtual std::string NameOf(int64_t image) const = 0;
  // Whether `file` is one of the files that are read. May look at the name of every image.
  virtual bool ReadsFile(const std::string& file) const = 0;
  // As Dataset::Warnings.
  virtual std::vector<std::string> Warnings() const { return {}; }
};

// The images of a verification set, which outlives the result. They have no labels.
std::unique_ptr<NamedImages> ImagesOf(const VerificationSet& set);

// Opens the images at `path`, which is a training set of any format but synthetic; its train.rec; a folder of images
// that is no training set; a single image; or a verification set (.bin, or a list of
// pairs with tabs). The last three have no labels. Errors of
// opening these; InvalidArgument also for a file of another kind.
absl::StatusOr<std::unique_ptr<NamedImages>> OpenImages(const std::string& path);

}  // namespace arcshard::worker
