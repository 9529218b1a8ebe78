#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "cli/model/forward_options.h"

namespace arcshard::cli {

struct VerifyOptions {
  std::string backbone;           // safetensors
  std::vector<std::string> sets;  // InsightFace's .bin files
  ForwardOptions forward;
};

// Prints two lines for each set: "lfw: accuracy 0.9312 ± 0.0100 (threshold 1.23, xnorm 22.10, 6000 pairs)" and,
// indented, the accuracy with one threshold over all pairs (DescribeAllPairs). Errors name the file.
absl::Status VerifyBackbone(const VerifyOptions& options);

}  // namespace arcshard::cli
