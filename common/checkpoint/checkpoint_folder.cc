#include "common/checkpoint/checkpoint_folder.h"

#include <algorithm>
#include <optional>
#include <tuple>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard {
namespace {

using Entry = FileSystem::Entry;

constexpr uint64_t kFirstView = 1;  // of an incarnation; folders do not name it

std::string FolderName(const CheckpointId& id) {
  std::string name = absl::StrFormat("step-%08d.%d", id.step, id.incarnation);
  if (id.counter != kFirstView) absl::StrAppend(&name, ".", id.counter);
  return name;
}

// The inverse of FolderName; nullopt for any other name.
std::optional<CheckpointId> ParseFolderName(absl::string_view name) {
  absl::string_view rest = name;
  if (!absl::ConsumePrefix(&rest, "step-")) return std::nullopt;
  const std::vector<absl::string_view> numbers = absl::StrSplit(rest, '.');
  CheckpointId id;
  if (numbers.size() < 2 || numbers.size() > 3 || !absl::SimpleAtoi(numbers[0], &id.step) ||
      !absl::SimpleAtoi(numbers[1], &id.incarnation) ||
      (numbers.size() == 3 && !absl::SimpleAtoi(numbers[2], &id.counter)) || FolderName(id) != name) {
    return std::nullopt;
  }
  return id;
}

bool IsManifest(const Entry& entry) { return !entry.is_folder && entry.name == kManifestName; }

// Treats a missing folder as an empty one.
absl::StatusOr<std::vector<Entry>> ListIfThere(FileSystem* files, const std::string& path) {
  absl::StatusOr<std::vector<Entry>> entries = files->List(path);
  if (absl::IsNotFound(entries.status())) return std::vector<Entry>();
  return entries;
}

// Another process, which should be dead, may have removed the file already.
absl::Status RemoveIfThere(FileSystem* files, const std::string& path) {
  const absl::Status status = files->Remove(path);
  return absl::IsNotFound(status) ? absl::OkStatus() : status;
}

struct Found {
  CheckpointId id;
  std::vector<Entry> entries;
  bool has_manifest = false;
};

// The folders in RUN/checkpoints that have a checkpoint's name.
absl::StatusOr<std::vector<Found>> FindFolders(FileSystem* files, const std::string& run_folder) {
  std::vector<Found> folders;
  ASSIGN_OR_RETURN(const std::vector<Entry> entries, ListIfThere(files, CheckpointsOf(run_folder)));
  for (const Entry& entry : entries) {
    const std::optional<CheckpointId> id = ParseFolderName(entry.name);
    if (!entry.is_folder || !id.has_value()) continue;
    ASSIGN_OR_RETURN(std::vector<Entry> inside, ListIfThere(files, CheckpointFolder(run_folder, *id)));
    const bool has_manifest = std::any_of(inside.begin(), inside.end(), IsManifest);
    folders.push_back({*id, std::move(inside), has_manifest});
  }
  return folders;
}

absl::Status CheckFile(FileSystem* files, const std::string& folder, const FileRecord& record) {
  constexpr absl::string_view kHint = " (is run.folder the same disk for all processes?)";
  const absl::StatusOr<std::unique_ptr<ByteSource>> file = files->Open(absl::StrCat(folder, "/", record.name));
  if (absl::IsNotFound(file.status())) {
    return absl::NotFoundError(
        absl::StrCat(folder, "/", record.name, ": was reported as written, but is not here", kHint));
  }
  RETURN_IF_ERROR(file.status());
  if ((*file)->size() != record.bytes) {
    return absl::DataLossError(absl::StrCat(folder, "/", record.name, ": was reported as written with ", record.bytes,
                                            " bytes, but has ", (*file)->size(), " here", kHint));
  }
  return absl::OkStatus();
}

// Whether the coordinator itself writes RUN/<name>. The launcher and `arcshard report`, which write there too, may be
// at work now.
bool IsOfCoordinator(const Entry& entry) {
  const absl::string_view name = entry.name;
  return absl::StartsWith(name, "config.yaml.") || absl::StartsWith(name, "incarnation.") ||
         absl::StartsWith(name, "devices.json.");
}

// `entries`: what the folder holds.
absl::Status RemoveTemporaryFiles(FileSystem* files, const std::string& folder, const std::vector<Entry>& entries,
                                  std::vector<std::string>* removed) {
  for (const Entry& entry : entries) {
    if (entry.is_folder || !AtomicFile::IsTemporaryName(entry.name)) continue;
    removed->push_back(absl::StrCat(folder, "/", entry.name));
    RETURN_IF_ERROR(RemoveIfThere(files, removed->back()));
  }
  return absl::OkStatus();
}

}  // namespace

std::string CheckpointsOf(absl::string_view run_folder) { return absl::StrCat(run_folder, "/checkpoints"); }

std::string CheckpointFolder(absl::string_view run_folder, const CheckpointId& id) {
  return absl::StrCat(CheckpointsOf(run_folder), "/", FolderName(id));
}

absl::StatusOr<std::vector<CheckpointId>> ListCheckpoints(FileSystem* files, const std::string& run_folder) {
  ASSIGN_OR_RETURN(const std::vector<Found> folders, FindFolders(files, run_folder));
  std::vector<CheckpointId> complete;
  for (const Found& folder : folders) {
    if (folder.has_manifest) complete.push_back(folder.id);
  }
  std::sort(complete.rbegin(), complete.rend());
  return complete;
}

absl::StatusOr<std::vector<CheckpointId>> ListOvertaken(FileSystem* files, const std::string& run_folder) {
  ASSIGN_OR_RETURN(const std::vector<Found> folders, FindFolders(files, run_folder));
  std::vector<CheckpointId> overtaken;
  for (const Found& folder : folders) {
    const CheckpointId& id = folder.id;
    const auto overtakes = [&id](const Found& other) {
      return other.has_manifest && other.id.step >= id.step &&
             std::tie(other.id.incarnation, other.id.counter) >= std::tie(id.incarnation, id.counter);
    };
    if (!folder.has_manifest && std::any_of(folders.begin(), folders.end(), overtakes)) overtaken.push_back(id);
  }
  return overtaken;
}

absl::Status WriteManifest(FileSystem* files, const std::string& folder, const Manifest& manifest) {
  Manifest sorted = manifest;
  std::sort(sorted.files.begin(), sorted.files.end(),
            [](const FileRecord& a, const FileRecord& b) { return a.name < b.name; });
  const std::string path = absl::StrCat(folder, "/", kManifestName);
  absl::StatusOr<std::string> text = FormatManifest(sorted);
  if (!text.ok()) return Annotate(text.status(), path);
  // The records come from other processes, so check now that the manifest can be read.
  if (const absl::Status status = ParseManifest(*text, path).status(); !status.ok()) {
    return absl::InvalidArgumentError(status.message());
  }
  for (const FileRecord& record : sorted.files) RETURN_IF_ERROR(CheckFile(files, folder, record));
  if (files->Open(path).ok()) return absl::AlreadyExistsError(absl::StrCat(path, ": the checkpoint is complete"));
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::Create(path, files));
  RETURN_IF_ERROR(file.Append(*text));
  absl::Status status = file.Commit();
  // The file may have been renamed already, though not durably.
  if (!status.ok() && files->Remove(path).ok()) (void)files->SyncFolder(folder);
  return status;
}

absl::Status RemoveCheckpoint(FileSystem* files, const std::string& folder) {
  absl::StatusOr<std::vector<Entry>> entries = files->List(folder);
  if (absl::IsNotFound(entries.status())) return absl::OkStatus();
  RETURN_IF_ERROR(entries.status());
  if (std::any_of(entries->begin(), entries->end(), IsManifest)) {
    RETURN_IF_ERROR(files->Remove(absl::StrCat(folder, "/", kManifestName)));
    RETURN_IF_ERROR(files->SyncFolder(folder));
  }
  for (const Entry& entry : *entries) {
    if (!IsManifest(entry)) RETURN_IF_ERROR(RemoveIfThere(files, absl::StrCat(folder, "/", entry.name)));
  }
  RETURN_IF_ERROR(files->RemoveFolder(folder));
  return files->SyncFolder(FolderOf(folder));
}

std::vector<CheckpointId> Superseded(const std::vector<CheckpointId>& complete, const Retention& retention) {
  std::vector<CheckpointId> superseded;
  for (size_t i = std::max<size_t>(1, retention.keep_last); i < complete.size(); ++i) {
    if (retention.keep_every != 0 && complete[i].step % retention.keep_every == 0) continue;
    superseded.push_back(complete[i]);
  }
  return superseded;
}

absl::StatusOr<std::vector<std::string>> CleanUp(FileSystem* files, const std::string& run_folder) {
  ASSIGN_OR_RETURN(const std::vector<Found> folders, FindFolders(files, run_folder));
  std::vector<std::string> removed;
  for (const Found& folder : folders) {
    const std::string path = CheckpointFolder(run_folder, folder.id);
    if (!folder.has_manifest) {
      const absl::Status status = RemoveCheckpoint(files, path);
      if (absl::IsFailedPrecondition(status)) continue;  // not empty: a process still writes to it
      RETURN_IF_ERROR(status);
      removed.push_back(path);
      continue;
    }
    RETURN_IF_ERROR(RemoveTemporaryFiles(files, path, folder.entries, &removed));
  }
  const std::string model = absl::StrCat(run_folder, "/model");
  ASSIGN_OR_RETURN(const std::vector<Entry> of_model, ListIfThere(files, model));
  RETURN_IF_ERROR(RemoveTemporaryFiles(files, model, of_model, &removed));
  ASSIGN_OR_RETURN(std::vector<Entry> of_run, ListIfThere(files, run_folder));
  std::erase_if(of_run, [](const Entry& entry) { return !IsOfCoordinator(entry); });
  RETURN_IF_ERROR(RemoveTemporaryFiles(files, run_folder, of_run, &removed));
  return removed;
}

}  // namespace arcshard
