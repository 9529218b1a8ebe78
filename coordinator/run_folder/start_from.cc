#include "coordinator/run_folder/start_from.h"

#include <algorithm>
#include <filesystem>
#include <string>
#include <system_error>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "common/base/failure_details.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/checkpoint/open_checkpoint.h"
#include "common/config/check_resumable.h"
#include "common/config/load_config.h"
#include "common/io/log.h"

namespace arcshard::coordinator {
namespace {

constexpr absl::string_view kRemedy = "; --allow-older resumes from the newest checkpoint that is whole";

// Whether the bytes themselves are missing or wrong, so that another attempt would fail too.
bool IsDamage(const absl::Status& status) { return absl::IsDataLoss(status) || absl::IsNotFound(status); }

struct Damaged {
  std::string folder;
  absl::Status why;
};

// Returns the first checkpoint of `complete`, newest first, that is whole, and adds those before it to `damaged`.
absl::StatusOr<OpenCheckpoint> NewestWhole(FileSystem* files, const std::string& run_folder,
                                           const std::vector<CheckpointId>& complete, std::vector<Damaged>* damaged) {
  for (const CheckpointId& id : complete) {
    const std::string folder = CheckpointFolder(run_folder, id);
    absl::StatusOr<OpenCheckpoint> checkpoint = OpenCheckpoint::Open(files, folder);
    const absl::Status status = checkpoint.ok() ? checkpoint->Verify() : checkpoint.status();
    if (status.ok()) return checkpoint;
    if (!IsDamage(status)) return status;
    damaged->push_back({folder, status});
  }
  return BlameCheckpoint(
      absl::DataLossError(absl::StrCat("all ", complete.size(), " checkpoints of ", run_folder,
                                       " are damaged; the newest: ", damaged->front().why.message())));
}

absl::Status PutAside(FileSystem* files, const std::string& run_folder, const std::vector<Damaged>& damaged) {
  for (const Damaged& one : damaged) {
    const std::string aside = absl::StrCat(one.folder, ".damaged");
    RETURN_IF_ERROR(files->Rename(one.folder, aside));
    RETURN_IF_ERROR(files->SyncFolder(CheckpointsOf(run_folder)));
    LogError(absl::StrCat("renamed a damaged checkpoint to ", aside, ": ", one.why.message()));
  }
  return absl::OkStatus();
}

absl::StatusOr<OpenCheckpoint> OpenNewest(FileSystem* files, const std::string& folder) {
  absl::StatusOr<OpenCheckpoint> checkpoint = OpenCheckpoint::Open(files, folder);
  if (checkpoint.ok() || !IsDamage(checkpoint.status())) return checkpoint;
  return BlameCheckpoint(absl::DataLossError(absl::StrCat(checkpoint.status().message(), kRemedy)));
}

absl::Status CheckConfig(const RunConfig& config, const OpenCheckpoint& checkpoint) {
  const std::string& folder = checkpoint.folder();
  const std::string& yaml = checkpoint.manifest().config_yaml;
  if (yaml.empty()) {
    return absl::FailedPreconditionError(absl::StrCat(
        folder, ": was imported, so there is no run to resume; init_from.checkpoint starts a new run from it"));
  }
  ASSIGN_OR_RETURN(const RunConfig then, ParseRunConfig(yaml, absl::StrCat(folder, "/", kManifestName), {}));
  RETURN_IF_ERROR(Annotate(CheckResumable(config, then), folder));
  for (const std::string& change : DescribeChanges(config, then)) {
    LogInfo(absl::StrCat("changed since the checkpoint of step ", checkpoint.manifest().step, ": ", change));
  }
  return absl::OkStatus();
}

// The same folder in its canonical spelling. The end of `path` need not exist.
std::filesystem::path Canonical(const std::string& path) {
  std::error_code error;
  std::filesystem::path canonical = std::filesystem::weakly_canonical(path, error);
  return error ? std::filesystem::path(path).lexically_normal() : canonical;
}

// The path of `path` after the folder `from` was renamed to `to`.
std::string AfterRename(const std::string& path, const std::string& from, const std::string& to) {
  const std::filesystem::path inside = Canonical(path).lexically_relative(Canonical(from));
  if (inside.empty() || *inside.begin() == "..") return path;
  return absl::StrCat(to, "/", inside.string());
}

// What a restart adds to the name of the folder of checkpoints, before its incarnation.
constexpr absl::string_view kAside = "-before-";

// The incarnation in which the folder's run began: that of the last restart; 1 if there was none.
absl::StatusOr<uint64_t> FirstIncarnation(FileSystem* files, const std::string& run_folder) {
  uint64_t first = 1;
  const absl::StatusOr<std::vector<FileSystem::Entry>> entries = files->List(run_folder);
  if (absl::IsNotFound(entries.status())) return first;
  RETURN_IF_ERROR(entries.status());
  const std::string prefix = absl::StrCat(std::filesystem::path(CheckpointsOf(run_folder)).filename().string(), kAside);
  for (const FileSystem::Entry& entry : *entries) {
    absl::string_view name = entry.name;
    uint64_t incarnation = 0;
    if (absl::ConsumePrefix(&name, prefix) && absl::SimpleAtoi(name, &incarnation))
      first = std::max(first, incarnation);
  }
  return first;
}

// The start of a new run. `restart`: there are checkpoints of an earlier run, to be put aside once all checks are done.
absl::StatusOr<StartPoint> BeginAnew(FileSystem* files, const RunConfig& config, bool restart, uint64_t incarnation) {
  StartPoint start{.config = config, .resume = std::nullopt, .put_aside = {}, .first_incarnation = incarnation};
  std::string& source = start.config.init_from.checkpoint;
  if (!source.empty()) {
    ASSIGN_OR_RETURN(source, ResolveCheckpoint(files, source));
    RETURN_IF_ERROR(OpenCheckpoint::Open(files, source).status());
  }
  if (!restart) return start;
  const std::string before = CheckpointsOf(config.run.folder);
  const std::string aside = absl::StrCat(before, kAside, incarnation);
  if (!source.empty()) source = AfterRename(source, before, aside);
  RETURN_IF_ERROR(files->Rename(before, aside));
  RETURN_IF_ERROR(files->SyncFolder(config.run.folder));
  LogInfo(absl::StrCat("starts a new run; the earlier checkpoints are now in ", aside));
  start.put_aside = aside;
  return start;
}

}  // namespace

absl::StatusOr<StartPoint> DecideStart(FileSystem* files, const RunConfig& config, const StartOptions& options,
                                       uint64_t incarnation) {
  const std::string& run_folder = config.run.folder;
  ASSIGN_OR_RETURN(const std::vector<std::string> removed, CleanUp(files, run_folder));
  for (const std::string& one : removed) LogInfo(absl::StrCat("removed an incomplete file or checkpoint: ", one));
  ASSIGN_OR_RETURN(const std::vector<CheckpointId> complete, ListCheckpoints(files, run_folder));
  if (complete.empty() && options.resume == ResumeMode::kYes) {
    return absl::NotFoundError(absl::StrCat("run.folder ", run_folder, " has no complete checkpoint to resume from"));
  }
  ASSIGN_OR_RETURN(const uint64_t first_incarnation, FirstIncarnation(files, run_folder));
  if (complete.empty() || options.restart) {
    ASSIGN_OR_RETURN(StartPoint start, BeginAnew(files, config, !complete.empty(), incarnation));
    if (options.resume == ResumeMode::kAuto && !options.restart) start.first_incarnation = first_incarnation;
    return start;
  }
  const std::string newest = CheckpointFolder(run_folder, complete.front());
  if (options.resume == ResumeMode::kNo) {
    return absl::FailedPreconditionError(absl::StrCat(
        "run.folder ", run_folder, " holds a run that can be resumed, from ", newest,
        ": resume it (arcshard train --resume ", run_folder,
        "), take another run.folder, or start a new run with --restart, which puts its checkpoints aside"));
  }
  std::vector<Damaged> damaged;
  ASSIGN_OR_RETURN(const OpenCheckpoint checkpoint, options.allow_older
                                                        ? NewestWhole(files, run_folder, complete, &damaged)
                                                        : OpenNewest(files, newest));
  RETURN_IF_ERROR(CheckConfig(config, checkpoint));
  RETURN_IF_ERROR(PutAside(files, run_folder, damaged));
  return StartPoint{.config = config,
                    .resume = ResumePoint{checkpoint.folder(), checkpoint.manifest()},
                    .first_incarnation = first_incarnation};
}

}  // namespace arcshard::coordinator
