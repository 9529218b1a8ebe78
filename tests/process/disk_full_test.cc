// A disk that is really full, and later has room again.
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "common/checkpoint/open_checkpoint.h"
#include "gmock/gmock.h"
#include "tests/process/testing/process_kit.h"
#include "tests/process/testing/small_disk.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;

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
