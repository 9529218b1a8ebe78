#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/pickle/pickle_reader.h"
#include "common/pickle/pickle_values.h"

namespace arcshard::worker {

// A verification set as InsightFace packs it (lfw.bin and the like): a pickle of (2·P encoded images, P flags). Images
// 2i and 2i + 1 are pair i, and flag i says whether they show the same class. Images are bytes, Python 2's str,
// bytearray or NumPy arrays of 8-bit integers, as rows or columns; flags are bools or numbers that are 0 or 1, in a
// list or an array. Or a list of pairs of files, as PLSC has it (verification_list.h).
//
// Immutable; thread-safe.
class VerificationSet {
 public:
  // NotFound: there is no such file, or a list names one that isn't there. InvalidArgument: the pickle can't be read
  // (PickleDocument::Parse) or is not such a pair of lists; or a line of a list is no pair. ResourceExhausted: as
  // PickleDocument::Parse. Messages name the file. The images are not decoded here.
  static absl::StatusOr<std::unique_ptr<VerificationSet>> Load(const std::string& path);
  // The same for a pickle that was read from `path`.
  static absl::StatusOr<std::unique_ptr<VerificationSet>> Parse(const std::string& path, std::string bytes);

  // The file's name without folder and ".bin".
  const std::string& name() const { return name_; }
  const std::string& path() const { return path_; }
  int64_t pairs() const { return static_cast<int64_t>(same_.size()); }
  int64_t images() const { return static_cast<int64_t>(images_.size()); }
  // The encoded image i, JPEG or PNG; i in [0, 2·P).
  absl::string_view image(int64_t i) const { return images_[i]; }
  // The flag of each pair.
  const std::vector<bool>& same() const { return same_; }

 private:
  VerificationSet() = default;
  static absl::StatusOr<std::unique_ptr<VerificationSet>> FromList(const std::string& path, absl::string_view text);
  // InvalidArgument: there are not two images for each flag.
  absl::Status CheckCounts() const;

  std::string path_;
  std::string name_;
  std::unique_ptr<PickleDocument> document_;  // holds the bytes that images_ points to
  PickleInterpreter interpreter_;             // holds those that the pickle has as text
  std::deque<std::string> files_;             // a list's images
  std::vector<absl::string_view> images_;
  std::vector<bool> same_;
};

}  // namespace arcshard::worker
