#pragma once

#include <string>

#include "absl/strings/string_view.h"

namespace arcshard::worker {

// A temporary folder for one test; the destructor removes it.
class TestFolder {
 public:
  TestFolder();
  ~TestFolder();
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;

  std::string Path(absl::string_view name) const;
  // Writes a file, creates the folders above it, and returns its path.
  std::string Write(absl::string_view name, absl::string_view bytes) const;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace arcshard::worker
