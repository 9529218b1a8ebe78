#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "worker/data/dataset.h"

namespace arcshard::worker {

// Paths and labels of images that lie as files, in the order of the samples: what the formats of such data sets
// produce. Held in one piece of memory: there may be millions.
class ImageFiles {
 public:
  // `path`: the data set's, for messages. `root`: what paths count from; absolute ones don't.
  ImageFiles(std::string path, std::string root) : path_(std::move(path)), root_(std::move(root)) {}

  void Add(absl::string_view path, int64_t label) {
    paths_.append(path.data(), path.size());
    ends_.push_back(paths_.size());
    labels_.push_back(label);
  }
  void set_classes(int64_t classes) { classes_ = classes; }

  const std::string& path() const { return path_; }
  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  int64_t classes() const { return classes_; }
  int64_t label(int64_t i) const { return labels_[i]; }
  absl::string_view relative_path(int64_t i) const {
    const size_t begin = i == 0 ? 0 : ends_[i - 1];
    return absl::string_view(paths_).substr(begin, ends_[i] - begin);
  }
  std::string full_path(int64_t i) const {
    const absl::string_view path = relative_path(i);
    return path.substr(0, 1) == "/" ? std::string(path) : absl::StrCat(root_, "/", path);
  }

 private:
  std::string path_;
  std::string root_;
  std::string paths_;
  std::vector<size_t> ends_;  // of each path in paths_
  std::vector<int64_t> labels_;
  int64_t classes_ = 0;  // N; every label is below
};

// A training set of image files. A file that is not there is NotFound, which ends a run: it may be a disk that is not
// mounted. One too large for any image is DataLoss.
class ImageFilesDataset final : public EncodedDataset {
 public:
  explicit ImageFilesDataset(ImageFiles files);

  absl::Status ReadEncoded(int64_t sample, EncodedSample* encoded) const override;

  int64_t samples() const override { return files_.size(); }
  int64_t classes() const override { return files_.classes(); }
  uint64_t fingerprint() const override { return fingerprint_; }  // of paths below the root, labels and N
  std::string path() const override { return files_.path(); }
  std::string NameOf(int64_t sample) const override { return files_.full_path(sample); }

 private:
  const ImageFiles files_;
  uint64_t fingerprint_ = 0;
};

}  // namespace arcshard::worker
