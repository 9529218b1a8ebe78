#include "bench/result.h"

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <iostream>

#include "absl/strings/str_cat.h"
#include "bench/measure.h"

namespace arcshard::bench {

nlohmann::ordered_json ToJson(const BenchOptions& options) {
  return {{"batch", options.batch},
          {"dim", options.dim},
          {"classes", options.classes},
          {"compute", options.compute},
          {"weights", options.weights},
          {"moments", options.moments},
          {"optimizer", options.optimizer},
          {"sample_rate", options.sample_rate},
          {"exp_budget_mb", options.exp_budget_mb},
          {"device", options.device},
          {"threads", options.threads},
          {"repeats", options.repeats}};
}

void PutQuartiles(const std::string& name, std::vector<double> values, nlohmann::ordered_json* result) {
  std::sort(values.begin(), values.end());
  (*result)[name] = Median(values);
  (*result)[name + "_quartile_1"] = values[values.size() / 4];
  (*result)[name + "_quartile_3"] = values[3 * values.size() / 4];
}

void PrintFigures(const nlohmann::ordered_json& result) {
  for (const auto& [name, value] : result.items()) {
    if (value.is_number_float()) {
      std::printf("%-15s %9.3f\n", name.c_str(), value.get<double>());
    } else if (name != "options") {
      std::printf("%-15s %s\n", name.c_str(), value.dump().c_str());
    }
  }
}

absl::Status WriteJson(const nlohmann::ordered_json& result, const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  std::ofstream file(path);
  file << result.dump(2) << "\n";
  file.close();
  return file ? absl::OkStatus() : absl::UnavailableError(absl::StrCat(path, " cannot be written"));
}

int ExitCodeOf(const std::string& program, const absl::Status& status) {
  if (status.ok()) return 0;
  std::cerr << program << ": " << std::string(status.message()) << "\n";
  return 1;
}

}  // namespace arcshard::bench
