#include "common/checkpoint/open_checkpoint.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checked_file.h"
#include "common/checkpoint/checkpoint_folder.h"

namespace arcshard {
namespace {

constexpr uint64_t kLargestManifest = uint64_t{1} << 28;  // enough for the block CRCs of 32 TiB

std::string ManifestOf(const std::string& folder) { return absl::StrCat(folder, "/", kManifestName); }

absl::StatusOr<std::string> ReadManifest(FileSystem* files, const std::string& folder) {
  const std::string path = ManifestOf(folder);
  absl::StatusOr<std::unique_ptr<ByteSource>> file = files->Open(path);
  if (absl::IsNotFound(file.status())) {
    return absl::NotFoundError(absl::StrCat(folder, ": is not a complete checkpoint: it has no ", kManifestName));
  }
  RETURN_IF_ERROR(file.status());
  if ((*file)->size() > kLargestManifest) {
    return absl::DataLossError(
        absl::StrCat(path, ": ", (*file)->size(), " bytes are too many for a checkpoint's manifest"));
  }
  std::string text((*file)->size(), '\0');
  RETURN_IF_ERROR((*file)->ReadAt(0, absl::MakeSpan(reinterpret_cast<std::byte*>(text.data()), text.size())));
  return text;
}

absl::StatusOr<std::unique_ptr<CheckedFile>> OpenChecked(FileSystem* files, const std::string& folder,
                                                         const FileRecord& record) {
  const std::string path = absl::StrCat(folder, "/", record.name);
  absl::StatusOr<std::unique_ptr<ByteSource>> file = files->Open(path);
  if (absl::IsNotFound(file.status()) || absl::IsFailedPrecondition(file.status())) {
    return absl::DataLossError(absl::StrCat("the checkpoint lacks a file: ", file.status().message()));
  }
  RETURN_IF_ERROR(file.status());
  return CheckedFile::Create(*std::move(file), record);
}

}  // namespace

absl::StatusOr<OpenCheckpoint> OpenCheckpoint::Open(FileSystem* files, const std::string& folder) {
  ASSIGN_OR_RETURN(const std::string text, ReadManifest(files, folder));
  ASSIGN_OR_RETURN(Manifest manifest, ParseManifest(text, ManifestOf(folder)));
  for (const FileRecord& record : manifest.files) RETURN_IF_ERROR(OpenChecked(files, folder, record).status());
  return OpenCheckpoint(files, folder, std::move(manifest));
}

bool OpenCheckpoint::Has(absl::string_view name) const {
  return std::any_of(manifest_.files.begin(), manifest_.files.end(),
                     [&](const FileRecord& file) { return file.name == name; });
}

absl::StatusOr<SafetensorsFile> OpenCheckpoint::File(absl::string_view name) const {
  for (const FileRecord& record : manifest_.files) {
    if (record.name != name) continue;
    ASSIGN_OR_RETURN(std::unique_ptr<CheckedFile> file, OpenChecked(files_, folder_, record));
    return SafetensorsFile::Open(std::move(file));
  }
  return absl::NotFoundError(absl::StrCat(folder_, ": the checkpoint has no file '", name, "'"));
}

absl::Status OpenCheckpoint::Verify() const {
  for (const FileRecord& record : manifest_.files) {
    ASSIGN_OR_RETURN(const std::unique_ptr<CheckedFile> file, OpenChecked(files_, folder_, record));
    RETURN_IF_ERROR(file->Verify());
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ResolveCheckpoint(FileSystem* files, const std::string& path) {
  std::string folder = path;
  while (folder.size() > 1 && folder.back() == '/') folder.pop_back();
  const absl::Status own = files->Open(ManifestOf(folder)).status();
  if (own.ok()) return folder;
  if (!absl::IsNotFound(own)) return own;
  ASSIGN_OR_RETURN(const std::vector<CheckpointId> complete, ListCheckpoints(files, folder));
  if (complete.empty()) {
    return absl::NotFoundError(absl::StrCat(path, ": is not a complete checkpoint, nor a run's folder that has one"));
  }
  return CheckpointFolder(folder, complete.front());
}

}  // namespace arcshard
