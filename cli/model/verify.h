#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace arcshard::cli {

struct VerifyOptions {
  std::string backbone;           // safetensors
  std::vector<std::string> sets;  // InsightFace's .bin
  int threads = 0;                // forward passes at once; 0: as many as this process may use cores
  int batch = 16;                 // images of a forward pass
  double pixel_mean = 127.5;      // (pixel - mean) / std, as in training
  double pixel_std = 127.5;
};

// `arcshard verify`: two lines on stdout for each set, "lfw: accuracy 0.9312 ± 0.0100 (threshold 1.23, xnorm 22.10,
// 6000 pairs)" and, indented, what one threshold over all pairs reaches (DescribeAllPairs). Errors name the file.
absl::Status VerifyBackbone(const VerifyOptions& options);

}  // namespace arcshard::cli
