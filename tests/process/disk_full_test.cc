// A disk that is really full, and later has room again.
#include <fcntl.h>
#include <sys/mount.h>

#include <cerrno>
#include <cstring>
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/checkpoint/open_checkpoint.h"
#include "gmock/gmock.h"
#include "tests/process/testing/process_kit.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

// A disk of `megabytes` MiB in memory. Mounting it needs root.
class SmallDisk {
 public:
  SmallDisk(const std::string& folder, int megabytes) : folder_(folder) {
    std::filesystem::create_directories(folder);
    mounted_ = mount("tmpfs", folder.c_str(), "tmpfs", 0, absl::StrCat("size=", megabytes, "m").c_str()) == 0;
    error_ = mounted_ ? 0 : errno;
  }
  ~SmallDisk() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  bool mounted() const { return mounted_; }
  const char* why_not() const { return std::strerror(error_); }

  // Leaves no byte free.
  void Fill() const {
    const FileDescriptor file(open(Ballast().c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    const std::string zeros(4096, '\0');
    while (write(file.get(), zeros.data(), zeros.size()) > 0) {
    }
    EXPECT_EQ(errno, ENOSPC);
  }
  void MakeRoom() const { std::filesystem::remove(Ballast()); }

 private:
  std::string Ballast() const { return folder_ + "/ballast"; }

  const std::string folder_;
  bool mounted_ = false;
  int error_ = 0;
};

class DiskFullTest : public ProcessTestBase {};

TEST_F(DiskFullTest, TrainingContinuesAndCheckpointsSucceedAgainWhenThereIsRoom) {
  const SmallDisk disk(Path("run/checkpoints"), 16);
  if (!disk.mounted()) GTEST_SKIP() << "mounting a small disk needs root: " << disk.why_not();
  Program run = Start("arcshard", SmallRun({"checkpoint.every_steps=1", "checkpoint.keep_last=1"}));
  run.AwaitLine("  step ");
  const Listing listing = Listing::Of(Path("run"));
  auto watch = cli::WatchClient::Start(listing.coordinator);
  ASSERT_TRUE(watch.ok()) << watch.status();
  AwaitReport(watch->get(), [](const v1::Progress& report) { return report.checkpoint_step() > 0; });
  disk.Fill();
  const v1::Progress failed =
      AwaitReport(watch->get(), [](const v1::Progress& report) { return !report.checkpoint_failure().empty(); });
  EXPECT_THAT(failed.checkpoint_failure(), HasSubstr("No space left on device"));
  // Checkpoints keep failing, and the training continues.
  const v1::Progress later =
      AwaitReport(watch->get(), [&failed](const v1::Progress& report) { return report.step() >= failed.step() + 20; });
  EXPECT_FALSE(later.checkpoint_failure().empty());
  EXPECT_EQ(later.checkpoint_step(), failed.checkpoint_step());
  const std::string kept =
      absl::StrCat(Path("run/checkpoints/"), absl::StrFormat("step-%08d.1", later.checkpoint_step()));
  const auto checkpoint = OpenCheckpoint::Open(RealFileSystem(), kept);
  ASSERT_TRUE(checkpoint.ok()) << checkpoint.status();
  EXPECT_TRUE(checkpoint->Verify().ok());
  EXPECT_THAT(ScrapeCoordinator(listing),
              AllOf(ContainsRegex("\narcshard_checkpoints_total.outcome=\"failed\". [1-9]"),
                    HasSubstr(absl::StrCat("\narcshard_checkpoint_step ", later.checkpoint_step(), "\n"))));

  disk.MakeRoom();
  const v1::Progress again =
      AwaitReport(watch->get(), [](const v1::Progress& report) { return report.checkpoint_failure().empty(); });
  EXPECT_GT(again.checkpoint_step(), later.checkpoint_step());
  run.Signal(SIGINT);
  EXPECT_TRUE(run.AwaitEnd().ok()) << run.output();
  const std::vector<std::string> parts = absl::StrSplit(run.output(), "warning: the checkpoint failed");
  EXPECT_EQ(parts.size(), 2u) << run.output();
  const std::string log = ReadFile(listing.Find("coordinator", 0).log).value_or("");
  const std::vector<std::string> warnings = absl::StrSplit(log, "warning: the checkpoint");
  EXPECT_EQ(warnings.size(), 2u) << log;
}

}  // namespace
}  // namespace arcshard
