#pragma once

#include <string>

#include "common/io/file_system.h"

namespace arcshard::coordinator {

// Moves the checkpoints that a restart has put aside back to where they were, unless the new run has begun: a start
// that its members refuse moves nothing. Not thread-safe.
class RestartUndo {
 public:
  // put_aside: where the checkpoints are now; empty: none were put aside. `files` outlives this.
  RestartUndo(FileSystem* files, std::string run_folder, std::string put_aside);
  RestartUndo(const RestartUndo&) = delete;
  RestartUndo& operator=(const RestartUndo&) = delete;
  ~RestartUndo();  // moves them back, and logs what it does

  // The new run has begun.
  void Keep() { put_aside_.clear(); }

 private:
  FileSystem* const files_;
  const std::string run_folder_;
  std::string put_aside_;
};

}  // namespace arcshard::coordinator
