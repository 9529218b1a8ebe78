#pragma once

#include <cstdint>
#include <string>

#include "shard_server/head/head.h"

namespace arcshard::bench {

// What the benchmarks measure: a shard that holds all classes.
struct BenchOptions {
  int64_t batch = 256;
  int64_t dim = 512;
  int64_t classes = 100000;
  std::string compute = "float32";  // float32 | bfloat16; also for the next two
  std::string weights = "float32";
  std::string moments = "float32";
  std::string optimizer = "sgd";  // sgd | adamw
  std::string device = "cpu";     // cpu | cuda[:N]
  double sample_rate = 1.0;
  int64_t exp_budget_mb = 0;
  int threads = 1;
  int repeats = 9;
};

// InvalidArgument: `device` is not a device's name.
absl::StatusOr<head::HeadOptions> HeadOptionsOf(const BenchOptions& options);

}  // namespace arcshard::bench
