// TensorBoard's own reader reads what a run writes for it.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"
#include "coordinator/run_folder/event_file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "test_paths.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::coordinator {
namespace {

// What tests/reference/make_events.py --read prints.
std::string ReadByTensorBoard(const std::string& run) {
  const char* const python = std::getenv("ARCSHARD_TEST_PYTHON");
  const std::string command = absl::StrCat(python != nullptr ? python : ARCSHARD_SOURCE_DIR "/.deps/python/bin/python",
                                           " -B " ARCSHARD_SOURCE_DIR "/tests/reference/make_events.py --read ", run);
  std::FILE* const pipe = popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string output;
  std::array<char, 4096> buffer;
  for (size_t bytes; (bytes = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    output.append(buffer.data(), bytes);
  }
  EXPECT_EQ(pclose(pipe), 0) << command;
  return output;
}

TEST(EventReferenceTest, TensorBoardReadsTheStepsOfBothLivesAndNoneThatTheSecondHasVoided) {
  const worker::TestFolder run;
  const std::string folder = run.Path("tensorboard");
  Progress verified;
  verified.verification_step = 20;
  verified.verification = {{.name = "lfw", .accuracy = 0.75}};
  verified.best_accuracy = 0.875;
  {
    EventFile first(folder, "1", 0);
    first.AddStep(1, {.step = 10, .loss = 12.5});
    first.AddStep(2, {.step = 20, .loss = 6.25});
    first.AddVerification(3, verified);
    first.AddStep(4, {.step = 30, .loss = 100});
  }
  EventFile second(folder, "2", 20);  // resumes from a checkpoint of step 20
  second.AddStep(5, {.step = 30, .loss = 3});
  const std::string read = ReadByTensorBoard(run.path());
  EXPECT_THAT(read, ::testing::HasSubstr("train/loss 10:12.5 20:6.25 30:3\n"));
  EXPECT_THAT(read, ::testing::HasSubstr("verification/lfw/accuracy 20:0.75\n"));
  EXPECT_THAT(read, ::testing::HasSubstr("verification/best_accuracy 20:0.875\n"));
}

}  // namespace
}  // namespace arcshard::coordinator
