#include "common/io/file_lock.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "common/base/testing/refused_call.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::StartsWith;

class FileLockTest : public ::testing::Test {
 protected:
  FileLockTest() { EXPECT_TRUE(WriteFileAtomically(path_, "").ok()); }
  ~FileLockTest() override { std::filesystem::remove(path_); }

  FileDescriptor Open() const { return OpenDescriptor(path_, O_RDWR); }

  const std::string path_ = absl::StrCat(::testing::TempDir(), "file_lock_test.",
                                         ::testing::UnitTest::GetInstance()->current_test_info()->name());
  std::string why_;
};

TEST_F(FileLockTest, IsHeldUntilItsDescriptorIsClosed) {
  const FileDescriptor second = Open();
  {
    const FileDescriptor first = Open();
    EXPECT_EQ(TakeFileLock(first, path_, &why_), FileLock::kTaken);
    EXPECT_EQ(TakeFileLock(second, path_, &why_), FileLock::kHeld);
  }
  EXPECT_EQ(TakeFileLock(second, path_, &why_), FileLock::kTaken);
  EXPECT_EQ(why_, "");
}

TEST_F(FileLockTest, AFileSystemWithoutLocksIsToldFromALockThatIsHeld) {
  for (const int error : {ENOSYS, EOPNOTSUPP, ENOLCK, EINVAL}) {
    bool refused = false;
    FileLock lock = FileLock::kTaken;
    std::thread([&] {
      refused = RefuseCall(SYS_flock, error);
      lock = TakeFileLock(Open(), path_, &why_);
    }).join();
    if (!refused) GTEST_SKIP() << "this machine does not let a process filter its calls";
    EXPECT_EQ(lock, FileLock::kUnavailable) << error;
    EXPECT_THAT(why_, StartsWith(path_ + ": this file system cannot lock it: "));
  }
}

}  // namespace
}  // namespace arcshard
