#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "bench/bench_options.h"

// The output of a benchmark's results.
namespace arcshard::bench {

nlohmann::ordered_json ToJson(const BenchOptions& options);

// Puts the median of the values, at least one, as `name`, and name_quartile_1 and name_quartile_3.
void PutQuartiles(const std::string& name, std::vector<double> values, nlohmann::ordered_json* result);

// Prints a line for each entry of the result except its options.
void PrintFigures(const nlohmann::ordered_json& result);

// Does nothing if `path` is empty. Unavailable: the file can't be written.
absl::Status WriteJson(const nlohmann::ordered_json& result, const std::string& path);

// What `program` returns from main: 0, or 1 after it has printed the error.
int ExitCodeOf(const std::string& program, const absl::Status& status);

}  // namespace arcshard::bench
