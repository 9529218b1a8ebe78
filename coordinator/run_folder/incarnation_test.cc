#include "coordinator/run_folder/incarnation.h"

#include <sys/resource.h>

#include <cerrno>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "common/base/testing/refused_call.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;

class IncarnationTest : public ::testing::Test {
 protected:
  IncarnationTest() { std::filesystem::remove_all(parent_); }
  ~IncarnationTest() override { std::filesystem::remove_all(parent_); }

  const std::string parent_ = absl::StrCat(::testing::TempDir(), "incarnation_test.",
                                           ::testing::UnitTest::GetInstance()->current_test_info()->name());
  const std::string folder_ = parent_ + "/run";
};

TEST_F(IncarnationTest, GrowsWithEveryStartInTheFolder) {
  for (uint64_t start = 1; start <= 3; ++start) {
    const auto incarnation = Incarnation::Take(folder_);
    ASSERT_TRUE(incarnation.ok()) << incarnation.status();
    EXPECT_EQ((*incarnation)->number(), start);
    EXPECT_EQ(*ReadFile(folder_ + "/incarnation"), absl::StrCat(start, "\n"));
  }
}

TEST_F(IncarnationTest, IsRefusedWhileAnotherCoordinatorLivesInTheFolder) {
  const auto first = Incarnation::Take(folder_);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Incarnation::Take(folder_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("in use by another coordinator"));
  EXPECT_EQ(*ReadFile(folder_ + "/incarnation"), "1\n");
}

TEST_F(IncarnationTest, OnAFileSystemWithoutLocksIsTaken) {
  bool refused = false;
  absl::Status status;
  std::thread([&] {
    refused = RefuseCall(SYS_flock, EOPNOTSUPP);
    status = Incarnation::Take(folder_).status();
  }).join();
  if (!refused) GTEST_SKIP() << "this machine does not let a process filter its calls";
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(IncarnationTest, OfAFileWithoutANumberIsRefusedAndTheFileKept) {
  for (const char* text : {"", "many", "-1", "18446744073709551615", "99999999999999999999"}) {
    ASSERT_TRUE(CreateFolders(folder_).ok());
    ASSERT_TRUE(WriteFileAtomically(folder_ + "/incarnation", text).ok());
    const auto incarnation = Incarnation::Take(folder_);
    EXPECT_EQ(incarnation.status().code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_THAT(std::string(incarnation.status().message()), HasSubstr(folder_ + "/incarnation"));
    EXPECT_EQ(*ReadFile(folder_ + "/incarnation"), text);
  }
}

TEST_F(IncarnationTest, InAFolderThatCannotBeMadeIsRefused) {
  ASSERT_TRUE(WriteFileAtomically(parent_, "a file where a folder is wanted").ok());
  EXPECT_FALSE(Incarnation::Take(folder_).ok());
}

TEST_F(IncarnationTest, ALockThatWasDeletedIsTakenAgain) {
  const auto incarnation = Incarnation::Take(folder_);
  ASSERT_TRUE(incarnation.ok()) << incarnation.status();
  EXPECT_EQ((*incarnation)->Guard(), absl::OkStatus());
  std::filesystem::remove(folder_ + "/lock");
  EXPECT_EQ((*incarnation)->Guard(), absl::OkStatus());
  EXPECT_TRUE(absl::IsFailedPrecondition(Incarnation::Take(folder_).status()));
}

TEST_F(IncarnationTest, AFolderThatWasDeletedIsNamedOnceAndMadeAgain) {
  const auto incarnation = Incarnation::Take(folder_);
  ASSERT_TRUE(incarnation.ok()) << incarnation.status();
  std::filesystem::remove_all(folder_);
  const absl::Status lost = (*incarnation)->Guard();
  EXPECT_EQ(lost.code(), absl::StatusCode::kDataLoss) << lost;
  EXPECT_THAT(std::string(lost.message()), HasSubstr(folder_ + " was deleted, moved or emptied"));
  EXPECT_EQ((*incarnation)->Guard(), absl::OkStatus());
  EXPECT_EQ(*ReadFile(folder_ + "/incarnation"), "1\n");
  EXPECT_TRUE(absl::IsFailedPrecondition(Incarnation::Take(folder_).status()));
}

TEST_F(IncarnationTest, AFolderThatWasDeletedIsNamedOnceTheDiskTakesItsNumberAgain) {
  const auto incarnation = Incarnation::Take(folder_);
  ASSERT_TRUE(incarnation.ok()) << incarnation.status();
  std::filesystem::remove_all(folder_);
  signal(SIGXFSZ, SIG_IGN);
  const rlimit full = {0, RLIM_INFINITY}, free = {RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  const absl::Status failed = (*incarnation)->Guard();
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &free), 0);
  EXPECT_FALSE(failed.ok() || absl::IsDataLoss(failed)) << failed;
  EXPECT_EQ((*incarnation)->Guard().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ((*incarnation)->Guard(), absl::OkStatus());
}

TEST_F(IncarnationTest, AFolderThatAnotherCoordinatorHasTakenMeanwhileIsItsOwn) {
  const auto first = Incarnation::Take(folder_);
  ASSERT_TRUE(first.ok()) << first.status();
  std::filesystem::remove(folder_ + "/lock");
  {
    const auto second = Incarnation::Take(folder_);
    ASSERT_TRUE(second.ok()) << second.status();
    EXPECT_TRUE(absl::IsFailedPrecondition((*first)->Guard()));
  }
  EXPECT_TRUE(absl::IsFailedPrecondition((*first)->Guard())) << "its number stays after it has ended";
}

TEST_F(IncarnationTest, ALaterStartFencesItOffAlsoWhereNoLockKeepsThatOut) {
  const auto first = Incarnation::Take(folder_);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ((*first)->Fence(), absl::OkStatus());
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/incarnation", "2\n").ok());  // as a file system without locks allows
  const absl::Status fenced = (*first)->Fence();
  EXPECT_TRUE(absl::IsFailedPrecondition(fenced)) << fenced;
  EXPECT_EQ(fenced.message(), absl::StrCat("another coordinator, incarnation 2, has taken run.folder ", folder_,
                                           " from this one, incarnation 1"));
  EXPECT_EQ((*first)->Guard(), fenced);
}

TEST_F(IncarnationTest, ANumberThatCannotBeReadIsAnErrorButNoFence) {
  const auto incarnation = Incarnation::Take(folder_);
  ASSERT_TRUE(incarnation.ok()) << incarnation.status();
  ASSERT_TRUE(WriteFileAtomically(folder_ + "/incarnation", "many").ok());
  for (const absl::Status& status : {(*incarnation)->Fence(), (*incarnation)->Guard()}) {
    EXPECT_FALSE(status.ok() || absl::IsFailedPrecondition(status) || absl::IsDataLoss(status)) << status;
  }
  std::filesystem::remove(folder_ + "/incarnation");
  EXPECT_EQ((*incarnation)->Fence(), absl::OkStatus()) << "no other has begun";
}

TEST_F(IncarnationTest, ALockThatIsALinkIsNotFollowed) {
  ASSERT_TRUE(CreateFolders(folder_).ok());
  std::filesystem::create_symlink(parent_ + "/elsewhere", folder_ + "/lock");
  EXPECT_THAT(std::string(Incarnation::Take(folder_).status().message()), HasSubstr("symbolic link"));
  EXPECT_FALSE(std::filesystem::exists(parent_ + "/elsewhere"));
}

}  // namespace
}  // namespace arcshard::coordinator
