#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace arcshard {

// Bounds the log of a process whose output is a file: the file is put aside as <path>.1, where it replaces the one
// before, and a new one is begun under its name. Descriptors that had it open then have the new one. Not thread-safe.
class LogFile {
 public:
  static constexpr off_t kMostBytes = off_t{16} << 20;

  // descriptors: those of the process that have the file `path` open, with O_APPEND.
  LogFile(std::string path, std::vector<int> descriptors, off_t most_bytes = kMostBytes);

  // Call it before a line is written. Begins a new file if the present one is full, or was deleted or renamed. If that
  // is not possible, the process goes on with the one that it has.
  void MakeRoom();

 private:
  bool PutAside() const;

  const std::string path_;
  const std::vector<int> descriptors_;
  const off_t most_bytes_;
};

}  // namespace arcshard
