#pragma once

#include <string>

#include "ATen/core/Tensor.h"
#include "common/io/safetensors.h"

namespace arcshard::worker {

// A case that PyTorch computed and a script of tests/reference recorded as a file in tests/data. Asked for something
// that the file does not have, it prints an error and aborts the test program.
class RecordedCase {
 public:
  explicit RecordedCase(const std::string& path);

  at::Tensor Tensor(const std::string& name) const;  // float32
  std::string Text(const std::string& key) const;    // from the metadata
  double Number(const std::string& key) const;       // from the metadata

 private:
  SafetensorsFile file_;
};

}  // namespace arcshard::worker
