#include "launcher/input_check.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace arcshard::launcher {

absl::Status CheckInputs(const RunConfig& config) {
  std::vector<std::string> missing;
  const auto check = [&missing](const char* key, const std::string& path) {
    std::error_code error;
    if (path.empty() || std::filesystem::is_regular_file(path, error)) return;
    const bool exists = std::filesystem::exists(path, error);
    missing.push_back(absl::StrCat(key, ": ", path, exists ? " is not a file" : " does not exist"));
  };
  for (const char* name : {"train.rec", "train.idx", "property"}) {
    check("data.train", absl::StrCat(config.data.train, "/", name));
  }
  check("head.init", config.head.init);
  check("loss.class_weights", config.loss.class_weights);
  for (const std::string& set : config.verification.sets) check("verification.sets", set);
  if (missing.empty()) return absl::OkStatus();
  return absl::NotFoundError(absl::StrJoin(missing, "; "));
}

}  // namespace arcshard::launcher
