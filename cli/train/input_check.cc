#include "cli/train/input_check.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "worker/data/open_dataset.h"

namespace arcshard::cli {
namespace {

using worker::DatasetFormat;

class Inputs {
 public:
  void CheckFile(const char* key, const std::string& path) {
    std::error_code error;
    if (path.empty() || std::filesystem::is_regular_file(path, error)) return;
    const bool exists = std::filesystem::exists(path, error);
    Add(key, path, exists ? " is not a file" : " does not exist");
  }

  void CheckCheckpoint(const char* key, const std::string& path) {
    std::error_code error;
    if (path.empty() || std::filesystem::is_directory(path, error)) return;
    const bool exists = std::filesystem::exists(path, error);
    Add(key, path, exists ? " is not a folder" : " does not exist");
  }

  void CheckData(const RunConfig& config) {
    const std::string& path = config.data.train;
    absl::StatusOr<DatasetFormat> format = worker::ParseDatasetFormat(config.data.format);
    if (format.ok() && *format == DatasetFormat::kSynthetic) return;
    std::error_code error;
    if (!std::filesystem::exists(path, error)) return Add("data.train", path, " does not exist");
    if (format.ok() && *format == DatasetFormat::kAuto) format = worker::DetectFormat(path);
    if (!format.ok()) return Add("data.train", format.status().message());
    if (*format == DatasetFormat::kList) return CheckFile("data.train", path);
    if (!std::filesystem::is_directory(path, error)) {
      return Add("data.train", path, " is not a folder, as data.format ", worker::ToString(*format), " has it");
    }
    if (*format == DatasetFormat::kFolders) return;
    if (*format == DatasetFormat::kRecordIo) {
      CheckFile("data.train", absl::StrCat(path, "/train.rec"));
      CheckFile("data.train", absl::StrCat(path, "/train.idx"));
    }
    if (config.head.classes == 0) CheckFile("data.train", absl::StrCat(path, "/property"));
  }

  absl::Status Result() const {
    if (missing_.empty()) return absl::OkStatus();
    return absl::NotFoundError(absl::StrJoin(missing_, "; "));
  }

 private:
  template <typename... What>
  void Add(const char* key, const What&... what) {
    missing_.push_back(absl::StrCat(key, ": ", what...));
  }

  std::vector<std::string> missing_;
};

}  // namespace

absl::Status CheckInputs(const RunConfig& config, bool resumes) {
  Inputs inputs;
  inputs.CheckData(config);
  if (!resumes) {
    inputs.CheckFile("head.init", config.head.init);
    inputs.CheckFile("backbone.init", config.backbone.init);
    inputs.CheckCheckpoint("init_from.checkpoint", config.init_from.checkpoint);
    inputs.CheckFile("init_from.classes", config.init_from.classes);
  }
  inputs.CheckFile("loss.class_weights", config.loss.class_weights);
  for (const std::string& set : config.verification.sets) inputs.CheckFile("verification.sets", set);
  return inputs.Result();
}

}  // namespace arcshard::cli
