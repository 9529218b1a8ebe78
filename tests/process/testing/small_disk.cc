#include "tests/process/testing/small_disk.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gtest/gtest.h"

namespace arcshard {

SmallDisk::SmallDisk(const std::string& folder, int megabytes) : folder_(folder) {
  std::filesystem::create_directories(folder);
  mounted_ = mount("tmpfs", folder.c_str(), "tmpfs", 0, absl::StrCat("size=", megabytes, "m").c_str()) == 0;
  error_ = mounted_ ? 0 : errno;
}

SmallDisk::~SmallDisk() {
  if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
}

std::string SmallDisk::why_not() const { return std::strerror(error_); }

void SmallDisk::Fill() const {
  const FileDescriptor file(open(Ballast().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
  const std::string zeros(4096, '\0');
  while (write(file.get(), zeros.data(), zeros.size()) > 0) {
  }
  EXPECT_EQ(errno, ENOSPC);
}

void SmallDisk::MakeRoom() const { std::filesystem::remove(Ballast()); }

}  // namespace arcshard
