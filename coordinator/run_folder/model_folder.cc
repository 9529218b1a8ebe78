#include "coordinator/run_folder/model_folder.h"

#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard::coordinator {

absl::StatusOr<std::vector<std::string>> DeleteOtherRanges(FileSystem* files, const std::string& run_folder,
                                                           const std::vector<ClassRange>& ranges) {
  const std::string folder = absl::StrCat(run_folder, "/model");
  const absl::StatusOr<std::vector<FileSystem::Entry>> entries = files->List(folder);
  if (absl::IsNotFound(entries.status())) return std::vector<std::string>();
  RETURN_IF_ERROR(entries.status());
  std::set<std::string> missing;
  for (const ClassRange& range : ranges) {
    if (range.size() > 0) missing.insert(absl::StrCat("class_centers-", range.begin, "-", range.end, ".safetensors"));
  }
  if (missing.empty()) return std::vector<std::string>();
  std::vector<std::string> others;
  for (const FileSystem::Entry& entry : *entries) {
    if (missing.erase(entry.name) > 0 || entry.is_folder) continue;
    const bool is_of_centers =
        absl::StartsWith(entry.name, "class_centers-") && absl::EndsWith(entry.name, ".safetensors");
    if (!is_of_centers && !AtomicFile::IsTemporaryName(entry.name)) continue;
    others.push_back(absl::StrCat(folder, "/", entry.name));
  }
  if (!missing.empty()) others.clear();
  for (const std::string& other : others) RETURN_IF_ERROR(files->Remove(other));
  if (!others.empty()) RETURN_IF_ERROR(files->SyncFolder(folder));
  return others;
}

}  // namespace arcshard::coordinator
