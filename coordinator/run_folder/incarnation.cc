#include "coordinator/run_folder/incarnation.h"

#include <fcntl.h>

#include <cerrno>
#include <limits>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/io/file_lock.h"
#include "common/io/log.h"

namespace arcshard::coordinator {
namespace {

absl::StatusOr<uint64_t> ReadLast(const std::string& path) {
  const absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return 0;
  RETURN_IF_ERROR(text.status());
  uint64_t last = 0;
  if (!absl::SimpleAtoi(*text, &last) || last == std::numeric_limits<uint64_t>::max()) {
    return absl::DataLossError(
        absl::StrCat(path,
                     ": does not hold the number of this run's starts; restore it with a number above "
                     "every earlier one, or start in another run.folder"));
  }
  return last;
}

}  // namespace

absl::StatusOr<std::unique_ptr<Incarnation>> Incarnation::Take(const std::string& folder) {
  RETURN_IF_ERROR(CreateFolders(folder));
  const std::string lock_path = absl::StrCat(folder, "/lock");
  FileDescriptor lock(open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!lock.valid()) return ErrnoStatus(errno, lock_path, "cannot open");
  std::string why;
  const FileLock taken = TakeFileLock(lock, lock_path, &why);
  if (taken == FileLock::kHeld) {
    return absl::FailedPreconditionError(
        absl::StrCat("run.folder ", folder, " is in use by another coordinator that is still running"));
  }
  if (taken == FileLock::kUnavailable) {
    LogInfo(absl::StrCat("warning: ", why, "; nothing keeps a second coordinator out of run.folder"));
  }
  const std::string path = absl::StrCat(folder, "/incarnation");
  ASSIGN_OR_RETURN(const uint64_t last, ReadLast(path));
  RETURN_IF_ERROR(WriteFileAtomically(path, absl::StrCat(last + 1, "\n")));
  return std::unique_ptr<Incarnation>(new Incarnation(std::move(lock), last + 1));
}

Incarnation::Incarnation(FileDescriptor lock, uint64_t number) : lock_(std::move(lock)), number_(number) {}

}  // namespace arcshard::coordinator
