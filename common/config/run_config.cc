#include "common/config/run_config.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/text/printable_text.h"

namespace arcshard {

std::string NameOfSetFile(const std::string& path) {
  const std::filesystem::path file(path);
  const std::string folder = file.parent_path().filename().string();
  // The name goes into files and metrics that are UTF-8, which a file's name need not be.
  return PrintableLine(file.filename() == "label.txt" && !folder.empty() ? folder : file.stem().string());
}

std::vector<std::string> NamesOfSets(const RunConfig::Verification& verification) {
  std::vector<std::string> names;
  for (const std::string& name : verification.names) names.push_back(PrintableLine(name));
  if (!names.empty()) return names;
  for (const std::string& path : verification.sets) {
    const std::string stem = NameOfSetFile(path);
    std::string name = stem;
    for (int i = 2; std::find(names.begin(), names.end(), name) != names.end(); ++i) name = absl::StrCat(stem, "-", i);
    names.push_back(std::move(name));
  }
  return names;
}

std::string NameOfSet(const RunConfig::Verification& verification, const std::string& path) {
  const std::vector<std::string>& sets = verification.sets;
  return NamesOfSets(verification)[std::find(sets.begin(), sets.end(), path) - sets.begin()];
}

RunConfig::Schedule ScaledSchedule(const RunConfig& config) {
  RunConfig::Schedule schedule = config.schedule;
  if (schedule.lr_batch_size == 0) return schedule;
  const double factor = config.data.batch_size / schedule.lr_batch_size;
  schedule.lr *= factor;
  schedule.end_lr *= factor;
  if (schedule.warmup_end_lr.has_value()) *schedule.warmup_end_lr *= factor;
  return schedule;
}

}  // namespace arcshard
