// TensorBoard's own reader reads what a run writes for it.
#include <string>

#include "absl/strings/str_cat.h"
#include "coordinator/run_folder/event_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "tests/testing/commands.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::coordinator {
namespace {

TEST(EventReferenceTest, TensorBoardReadsTheStepsOfBothLivesAndNoneThatTheSecondHasVoided) {
  const worker::TestFolder run;
  const std::string folder = run.Path("tensorboard");
  Progress verified;
  verified.verification_step = 20;
  verified.verification = {{.name = "lfw", .accuracy = 0.75}};
  verified.best_accuracy = 0.875;
  {
    EventFile first(folder, "1");
    first.AddStep(1, {.step = 10, .loss = 12.5});
    first.AddStep(2, {.step = 20, .loss = 6.25});
    first.AddVerification(3, verified);
    first.AddStep(4, {.step = 30, .loss = 100});
  }
  EventFile second(folder, "2");
  second.ResumeAfter(20);  // from a checkpoint
  second.AddStep(5, {.step = 30, .loss = 3});
  const std::string read =
      OutputOf(PythonCommand(absl::StrCat(ARCSHARD_SOURCE_DIR "/tests/reference/make_events.py --read ", run.path())));
  EXPECT_THAT(read, ::testing::HasSubstr("train/loss 10:12.5 20:6.25 30:3\n"));
  EXPECT_THAT(read, ::testing::HasSubstr("verification/lfw/accuracy 20:0.75\n"));
  EXPECT_THAT(read, ::testing::HasSubstr("verification/best_accuracy 20:0.875\n"));
}

}  // namespace
}  // namespace arcshard::coordinator
