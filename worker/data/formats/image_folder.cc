#include "worker/data/formats/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/match.h"
#include "common/io/file.h"

namespace arcshard::worker {
namespace {

template <typename Wanted>
absl::StatusOr<std::vector<std::string>> NamesIn(const std::string& folder, const Wanted& wanted) {
  std::vector<std::string> names;
  std::error_code error;
  std::filesystem::directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    std::string name = entry->path().filename().string();
    if (name.front() != '.' && wanted(*entry, name)) names.push_back(std::move(name));
  }
  if (error) return ErrnoStatus(error.value(), folder, "cannot list the folder");
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

bool HasImageName(absl::string_view name) {
  return absl::EndsWithIgnoreCase(name, ".jpg") || absl::EndsWithIgnoreCase(name, ".jpeg") ||
         absl::EndsWithIgnoreCase(name, ".png");
}

absl::StatusOr<std::vector<std::string>> FoldersIn(const std::string& folder) {
  return NamesIn(folder, [](const std::filesystem::directory_entry& entry, const std::string&) {
    std::error_code ignored;  // a dangling link is not a folder
    return entry.is_directory(ignored);
  });
}

absl::StatusOr<std::vector<std::string>> ImagesIn(const std::string& folder) {
  // The type of the file is not checked: where a folder has such a name, reading it fails with an error that says so.
  return NamesIn(folder,
                 [](const std::filesystem::directory_entry&, const std::string& name) { return HasImageName(name); });
}

}  // namespace arcshard::worker
