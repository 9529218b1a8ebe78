#pragma once

#include <string>

#include "ATen/core/Tensor.h"
#include "common/io/safetensors.h"

namespace arcshard::worker {

// What PyTorch computed and a script in tests/reference recorded as a file in tests/data. For tests: asked for what is
// not there, it ends the program with the reason.
class RecordedCase {
 public:
  explicit RecordedCase(const std::string& path);

  at::Tensor Tensor(const std::string& name) const;  // of float32
  std::string Text(const std::string& key) const;    // from the metadata
  double Number(const std::string& key) const;       // likewise

 private:
  SafetensorsFile file_;
};

}  // namespace arcshard::worker
