#include "cli/train/run_trace.h"

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/output_file.h"
#include "common/trace/merge_traces.h"

namespace arcshard::cli {
namespace {

std::string FolderOf(const std::string& path) { return absl::StrCat(path, ".parts"); }

// The paths of all parts.
absl::StatusOr<std::vector<std::string>> Parts(FileSystem* files, const std::string& path) {
  ASSIGN_OR_RETURN(const std::vector<FileSystem::Entry> entries, files->List(FolderOf(path)));
  std::vector<std::string> parts;
  for (const FileSystem::Entry& entry : entries) parts.push_back(absl::StrCat(FolderOf(path), "/", entry.name));
  return parts;
}

}  // namespace

std::string RunTrace::PartOf(const std::string& path, const std::string& name) {
  return absl::StrCat(FolderOf(path), "/", name, "-%p.json");
}

absl::Status RunTrace::Prepare() {
  RETURN_IF_ERROR(CheckOutputFile(path_, /*force=*/true));
  RETURN_IF_ERROR(files_->CreateFolders(FolderOf(path_)));
  ASSIGN_OR_RETURN(const std::vector<std::string> earlier, Parts(files_, path_));
  for (const std::string& part : earlier) RETURN_IF_ERROR(files_->Remove(part));
  return absl::OkStatus();
}

absl::Status RunTrace::Merge() {
  const auto merge = [this]() -> absl::Status {
    ASSIGN_OR_RETURN(const std::vector<std::string> parts, Parts(files_, path_));
    if (parts.empty()) return absl::NotFoundError("no process has written one; their logs say why");
    return MergeTraces(parts, path_, files_);
  };
  RETURN_IF_ERROR(Annotate(merge(), absl::StrCat("the trace is in parts, in ", FolderOf(path_))));
  return Annotate(files_->RemoveFolder(FolderOf(path_)),
                  absl::StrCat("the trace is whole, but ", FolderOf(path_), " stays"));
}

}  // namespace arcshard::cli
