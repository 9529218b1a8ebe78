#include "cli/supervision/run_folder.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file_lock.h"
#include "common/io/file_system.h"
#include "common/io/log.h"
#include "common/net/host_port.h"
#include "nlohmann/json.hpp"

namespace arcshard::cli {
namespace {

constexpr int kJsonIndent = 2;
constexpr absl::string_view kProcessList = "processes.json";

const char* NameOf(Role role) {
  switch (role) {
    case Role::kCoordinator:
      return "coordinator";
    case Role::kShard:
      return "shard";
    case Role::kWorker:
      return "worker";
  }
  return "";
}

// Whether a process may hold the lock on the file or folder `path`.
bool MayBeLocked(const std::string& path) {
  const FileDescriptor fd = OpenDescriptor(path, O_RDONLY | O_NONBLOCK);
  return fd.valid() ? !NobodyHoldsFileLock(fd) : errno != ENOENT;
}

// Whether the launcher or the coordinator of the run in the folder `path` may live. The launcher has locked logs/,
// which may have been deleted and made again, and the coordinator the file lock.
bool MayBeInProgress(const std::string& path) {
  return MayBeLocked(absl::StrCat(path, "/logs")) || MayBeLocked(absl::StrCat(path, "/lock"));
}

}  // namespace

absl::StatusOr<RunFolder> RunFolder::Take(const std::string& path) {
  const std::string logs = absl::StrCat(path, "/logs");
  RETURN_IF_ERROR(CreateFolders(logs));
  FileDescriptor lock(open(logs.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock.valid()) return ErrnoStatus(errno, logs, "cannot open");
  std::string why;
  const FileLock taken = TakeFileLock(lock, logs, &why);
  if (taken == FileLock::kHeld) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, ": another arcshard train runs in this folder (run.folder); its processes are listed in ",
                     path, "/processes.json"));
  }
  RunFolder folder(path, logs, std::move(lock));
  if (taken == FileLock::kUnavailable) {
    folder.warning_ = absl::StrCat(why, "; nothing keeps a second arcshard train out of the run's folder");
  }
  folder.RemoveTemporaryFiles();
  return folder;
}

// Those of processes.json that a killed launcher has left. The coordinator removes its own.
void RunFolder::RemoveTemporaryFiles() const {
  const absl::StatusOr<std::vector<FileSystem::Entry>> entries = RealFileSystem()->List(path_);
  if (!entries.ok()) return;  // whoever needs the folder says so
  for (const FileSystem::Entry& entry : *entries) {
    if (!absl::StartsWith(entry.name, kProcessList) || !AtomicFile::IsTemporaryName(entry.name)) continue;
    RealFileSystem()->Remove(absl::StrCat(path_, "/", entry.name)).IgnoreError();  // a file too many does no harm
  }
}

absl::StatusOr<std::string> RunFolder::CoordinatorOf(const std::string& path) {
  std::error_code error;
  if (!std::filesystem::is_directory(path, error)) {
    return absl::NotFoundError(absl::StrCat(path, ": there is no such run folder"));
  }
  const std::string list = absl::StrCat(path, "/", kProcessList);
  const absl::StatusOr<std::string> text = ReadFile(list);
  if (absl::IsNotFound(text.status()) || !MayBeInProgress(path)) {  // a killed launcher leaves its list
    const std::string backbone = absl::StrCat(path, "/model/backbone.safetensors");
    return absl::NotFoundError(
        std::filesystem::exists(backbone, error)
            ? absl::StrCat(path, ": no run is in progress here; the last one has left ", backbone)
            : absl::StrCat(path,
                           ": no run of arcshard train is in progress here; if one was started by hand, use "
                           "--coordinator host:port"));
  }
  RETURN_IF_ERROR(text.status());
  const nlohmann::json all = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (!all.is_object() || !all.contains("coordinator") || !all["coordinator"].is_string()) {
    return absl::DataLossError(absl::StrCat(list, " has no address of a coordinator"));
  }
  std::string address = all["coordinator"].get<std::string>();
  if (address.empty()) return absl::UnavailableError(absl::StrCat(path, ": the coordinator does not listen yet"));
  if (const absl::Status valid = ParsePeerAddress(address).status(); !valid.ok()) {
    return absl::DataLossError(absl::StrCat(list, ": the coordinator's address ", valid.message()));
  }
  return address;
}

RunFolder::~RunFolder() {
  if (!lock_.valid()) return;  // a moved-from object
  // Another launcher may run in a folder that took the place of a deleted one.
  const absl::StatusOr<std::string> text = ReadFile(processes_json());
  if (!text.ok()) return;
  const nlohmann::json all = nlohmann::json::parse(*text, nullptr, /*allow_exceptions=*/false);
  if (all.is_object() && all.value("launcher", nlohmann::json()) == getpid()) unlink(processes_json().c_str());
}

std::string RunFolder::LogOf(Role role, uint32_t index) const {
  return absl::StrCat(path_, "/logs/", NameOf(role), "-", index, ".log");
}

std::string RunFolder::backbone() const { return absl::StrCat(path_, "/model/backbone.safetensors"); }

std::string RunFolder::best_backbone() const { return absl::StrCat(path_, "/model/best_backbone.safetensors"); }

std::string RunFolder::processes_json() const { return absl::StrCat(path_, "/", kProcessList); }

absl::StatusOr<std::string> RunFolder::KeepConfig(absl::string_view yaml) const {
  std::string path = absl::StrCat(logs_, "/config.yaml");
  RETURN_IF_ERROR(WriteFileAtomically(path, yaml));
  return path;
}

void RunFolder::Note(absl::Time date, absl::string_view sentence) {
  notes_.Append(FormatLogLine(date, "arcshard train", sentence));
}

absl::Status RunFolder::List(const std::string& coordinator, const std::vector<RunningProcess>& processes) {
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const RunningProcess& process : processes) {
    list.push_back(
        {{"role", NameOf(process.role)}, {"index", process.index}, {"pid", process.pid}, {"log", process.log}});
  }
  const nlohmann::ordered_json all = {{"launcher", getpid()}, {"coordinator", coordinator}, {"processes", list}};
  const auto replace = nlohmann::ordered_json::error_handler_t::replace;  // a path need not be UTF-8
  return WriteFileAtomically(processes_json(), all.dump(kJsonIndent, ' ', false, replace) + "\n");
}

}  // namespace arcshard::cli
