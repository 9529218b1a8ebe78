#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace arcshard::worker {

// Pictures that lie in the folders of a data set and are not part of it.
struct UnreadPictures {
  struct Group {
    int64_t count = 0;
    std::string example;  // the path of the first one

    void Add(const std::string& path) {
      if (count++ == 0) example = path;
    }
  };
  std::map<std::string, Group> formats;  // suffix ("webp") -> pictures in a format that is not read
  Group deeper;                          // JPEG and PNG images in folders within a class's folder
  Group beside;                          // that lie beside the classes' folders
  Group elsewhere;                       // in folders that are no class

  // A sentence for each group that is not empty.
  std::vector<std::string> Sentences() const;
  // The sentences as the end of a message, "; SENTENCE; SENTENCE", or nothing.
  std::string Hint() const;
};

}  // namespace arcshard::worker
