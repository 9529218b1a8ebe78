#include "worker/data/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"

namespace arcshard::worker {

absl::StatusOr<std::unique_ptr<InputFile>> InputFile::Open(const std::string& path) {
  const int descriptor = open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (descriptor < 0) {
    if (errno == ENOENT) return absl::NotFoundError(absl::StrCat("there is no file ", path));
    return absl::PermissionDeniedError(absl::StrCat("can't open ", path, ": ", std::strerror(errno)));
  }
  struct stat facts;
  if (fstat(descriptor, &facts) != 0 || !S_ISREG(facts.st_mode)) {
    close(descriptor);
    return absl::InvalidArgumentError(absl::StrCat(path, " is not a regular file"));
  }
  return std::unique_ptr<InputFile>(new InputFile(path, descriptor, facts.st_size));
}

InputFile::InputFile(std::string path, int descriptor, int64_t size)
    : path_(std::move(path)), descriptor_(descriptor), size_(size) {}

InputFile::~InputFile() { close(descriptor_); }

absl::Status InputFile::ReadAt(int64_t offset, int64_t count, char* bytes) const {
  while (count > 0) {
    const ssize_t got = pread(descriptor_, bytes, count, offset);
    if (got < 0) {
      if (errno == EINTR) continue;
      return absl::UnavailableError(
          absl::StrCat("reading ", path_, " at offset ", offset, " failed: ", std::strerror(errno)));
    }
    if (got == 0)
      return absl::OutOfRangeError(absl::StrCat(path_, " ends at offset ", offset, ", ", count, " bytes too early"));
    offset += got;
    count -= got;
    bytes += got;
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadWholeFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::unique_ptr<InputFile> file, InputFile::Open(path));
  std::string bytes(file->size(), '\0');
  RETURN_IF_ERROR(file->ReadAt(0, file->size(), bytes.data()));
  return bytes;
}

}  // namespace arcshard::worker
