#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace arcshard::worker {

// Paths and labels of a data set's image files, in the order of the samples. All paths share one string, because there
// may be millions.
class ImageFiles {
 public:
  // `path`: the data set's, for messages. `root`: the folder that relative paths start from.
  ImageFiles(std::string path, std::string root) : path_(std::move(path)), root_(std::move(root)) {}

  void Add(absl::string_view path, int64_t label) {
    paths_.append(path.data(), path.size());
    ends_.push_back(paths_.size());
    labels_.push_back(label);
  }
  void set_classes(int64_t classes) { classes_ = classes; }
  void set_warnings(std::vector<std::string> warnings) { warnings_ = std::move(warnings); }

  const std::string& path() const { return path_; }
  int64_t size() const { return static_cast<int64_t>(labels_.size()); }
  int64_t classes() const { return classes_; }
  const std::vector<std::string>& warnings() const { return warnings_; }  // on pictures that are not among the files
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
  std::vector<size_t> ends_;  // where each path ends in paths_
  std::vector<int64_t> labels_;
  std::vector<std::string> warnings_;
  int64_t classes_ = 0;  // N; every label is below it
};

}  // namespace arcshard::worker
