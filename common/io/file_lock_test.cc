#include "common/io/file_lock.h"

#include <fcntl.h>

#include <atomic>
#include <cerrno>
#include <filesystem>
#include <thread>
#include <vector>

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

TEST_F(FileLockTest, ALookTellsWhetherSomebodyHoldsIt) {
  const FileDescriptor look = Open();
  EXPECT_TRUE(NobodyHoldsFileLock(look));
  {
    const FileDescriptor holder = Open();
    ASSERT_EQ(TakeFileLock(holder, path_, &why_), FileLock::kTaken);
    EXPECT_FALSE(NobodyHoldsFileLock(look));
  }
  EXPECT_TRUE(NobodyHoldsFileLock(look));
  const FileDescriptor holder = Open();
  EXPECT_EQ(TakeFileLock(holder, path_, &why_), FileLock::kTaken) << "a look holds nothing";
}

TEST_F(FileLockTest, WhoTakesItWhileOthersLookIsNotRefused) {
  std::atomic<bool> done = false;
  std::vector<std::thread> lookers;
  for (int i = 0; i < 2; ++i) {
    lookers.emplace_back([&] {
      for (const FileDescriptor look = Open(); !done;) NobodyHoldsFileLock(look);
    });
  }
  int taken = 0;
  for (int i = 0; i < 200; ++i) taken += TakeFileLock(Open(), path_, &why_) == FileLock::kTaken;
  done = true;
  for (std::thread& looker : lookers) looker.join();
  EXPECT_EQ(taken, 200);
}

TEST_F(FileLockTest, AFileSystemWithoutLocksIsToldFromALockThatIsHeld) {
  for (const int error : {ENOSYS, EOPNOTSUPP, ENOLCK, EINVAL}) {
    bool refused = false;
    FileLock lock = FileLock::kTaken;
    bool free = true;
    std::thread([&] {
      refused = RefuseCall(SYS_flock, error);
      lock = TakeFileLock(Open(), path_, &why_);
      free = NobodyHoldsFileLock(Open());
    }).join();
    if (!refused) GTEST_SKIP() << "this machine does not let a process filter its calls";
    EXPECT_EQ(lock, FileLock::kUnavailable) << error;
    EXPECT_FALSE(free) << error;
    EXPECT_THAT(why_, StartsWith(path_ + ": this file system cannot lock it: "));
  }
}

}  // namespace
}  // namespace arcshard
