#include "worker/data/formats/image_folder.h"

#include <algorithm>
#include <filesystem>
#include <system_error>
#include <utility>

#include "absl/strings/ascii.h"
#include "common/io/file.h"
#include "worker/data/images/image_format.h"

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

// Adds the pictures in `folder` and in the folders below it. What can't be listed is left out: nothing of it is used.
void AddPicturesBelow(const std::string& folder, UnreadPictures* unread) {
  std::error_code error;
  std::filesystem::recursive_directory_iterator entry(folder, error);
  for (; !error && entry != std::filesystem::recursive_directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.front() == '.') {
      entry.disable_recursion_pending();
    } else if (const std::string suffix = SuffixOf(name); IsImageSuffix(suffix)) {
      unread->deeper.Add(entry->path().string());
    } else if (IsOtherImageSuffix(suffix)) {
      unread->formats[suffix].Add(entry->path().string());
    }
  }
}

}  // namespace

std::string SuffixOf(absl::string_view path) {
  path.remove_prefix(path.rfind('/') + 1);  // npos + 1 is 0
  const size_t dot = path.rfind('.');
  return dot == absl::string_view::npos ? "" : absl::AsciiStrToLower(path.substr(dot + 1));
}

bool HasImageName(absl::string_view name) { return IsImageSuffix(SuffixOf(name)); }

absl::StatusOr<std::vector<std::string>> FoldersIn(const std::string& folder) {
  return NamesIn(folder, [](const std::filesystem::directory_entry& entry, const std::string&) {
    std::error_code ignored;  // a dangling link is not a folder
    return entry.is_directory(ignored);
  });
}

absl::StatusOr<std::vector<std::string>> ImagesIn(const std::string& folder, UnreadPictures* unread) {
  return NamesIn(folder, [&](const std::filesystem::directory_entry& entry, const std::string& name) {
    // The type of the file is not checked: where a folder has such a name, reading it fails with an error that says so.
    const std::string suffix = SuffixOf(name);
    if (IsImageSuffix(suffix)) return true;
    if (unread == nullptr) return false;
    std::error_code ignored;
    if (IsOtherImageSuffix(suffix)) {
      unread->formats[suffix].Add(entry.path().string());
    } else if (entry.is_directory(ignored)) {
      AddPicturesBelow(entry.path().string(), unread);
    }
    return false;
  });
}

}  // namespace arcshard::worker
