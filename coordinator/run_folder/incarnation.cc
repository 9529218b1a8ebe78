#include "coordinator/run_folder/incarnation.h"

#include <cerrno>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/checkpoint/run_fence.h"
#include "common/io/file_lock.h"
#include "common/io/log.h"

namespace arcshard::coordinator {
namespace {

std::string LockOf(const std::string& folder) { return absl::StrCat(folder, "/lock"); }

absl::StatusOr<FileDescriptor> Lock(const std::string& folder) {
  RETURN_IF_ERROR(CreateFolders(folder));
  const std::string path = LockOf(folder);
  ASSIGN_OR_RETURN(FileDescriptor lock, OpenToAppend(path));
  std::string why;
  const FileLock taken = TakeFileLock(lock, path, &why);
  if (taken == FileLock::kHeld) {
    return absl::FailedPreconditionError(
        absl::StrCat("run.folder ", folder, " is in use by another coordinator that is still running"));
  }
  if (taken == FileLock::kUnavailable) {
    LogInfo(absl::StrCat("warning: ", why, "; nothing keeps a second coordinator out of run.folder"));
  }
  return lock;
}

absl::Status WriteNumber(const std::string& folder, uint64_t number) {
  return WriteFileAtomically(IncarnationFileOf(folder), absl::StrCat(number, "\n"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Incarnation>> Incarnation::Take(const std::string& folder) {
  ASSIGN_OR_RETURN(FileDescriptor lock, Lock(folder));
  ASSIGN_OR_RETURN(const uint64_t last, ReadIncarnation(RealFileSystem(), folder));
  RETURN_IF_ERROR(WriteNumber(folder, last + 1));
  return std::unique_ptr<Incarnation>(new Incarnation(folder, std::move(lock), last + 1));
}

Incarnation::Incarnation(std::string folder, FileDescriptor lock, uint64_t number)
    : folder_(std::move(folder)), lock_(std::move(lock)), number_(number) {}

absl::Status Incarnation::Fence() const {
  const absl::StatusOr<uint64_t> last = ReadIncarnation(RealFileSystem(), folder_);
  if (!last.ok()) {
    // DataLoss means another thing to Guard's caller.
    return absl::IsDataLoss(last.status()) ? absl::InternalError(last.status().message()) : last.status();
  }
  if (*last <= number_) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat("another coordinator, incarnation ", *last,
                                                    ", has taken run.folder ", folder_, " from this one, incarnation ",
                                                    number_));
}

absl::Status Incarnation::Guard() {
  if (StillNames(LockOf(folder_), lock_)) return Fence();
  ASSIGN_OR_RETURN(FileDescriptor lock, Lock(folder_));
  ASSIGN_OR_RETURN(const uint64_t last, ReadIncarnation(RealFileSystem(), folder_));
  if (last > number_) {
    return absl::FailedPreconditionError(
        absl::StrCat("another coordinator was started in run.folder ", folder_, " after its lock was deleted"));
  }
  if (last == number_) {
    lock_ = std::move(lock);
    LogInfo(absl::StrCat(LockOf(folder_), " was deleted while the run is in progress; it was taken again"));
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(WriteNumber(folder_, number_));
  lock_ = std::move(lock);  // only now, so that after an error the next call finds the loss again
  return absl::DataLossError(absl::StrCat(
      "run.folder ", folder_, " was deleted, moved or emptied while the run was in progress; what it held, ",
      "earlier checkpoints included, is no longer there"));
}

}  // namespace arcshard::coordinator
