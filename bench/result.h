#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "bench/bench_options.h"

// How a benchmark tells what it found.
namespace arcshard::bench {

nlohmann::ordered_json ToJson(const BenchOptions& options);

// A line for each figure, and for what else the result holds but its options.
void PrintFigures(const nlohmann::ordered_json& result);

// Nothing where `path` is empty. Unavailable: it cannot be written.
absl::Status WriteJson(const nlohmann::ordered_json& result, const std::string& path);

}  // namespace arcshard::bench
