#include "coordinator/run_folder/event_file.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tensorboard/event.pb.h"
#include "test_paths.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;

class EventFileTest : public ::testing::Test {
 protected:
  EventFileTest() { std::filesystem::create_directories(run_); }
  ~EventFileTest() override { std::filesystem::remove_all(run_); }

  std::string Bytes() const { return ReadFile(folder_ + "/events.out.tfevents.1").value_or(""); }

  // The events of the file, whose every record must be whole.
  std::vector<tensorboard::Event> Events() const {
    const std::string bytes = Bytes();
    std::vector<tensorboard::Event> events;
    for (size_t at = 0; at < bytes.size();) {
      uint64_t length = 0;
      for (int i = 7; i >= 0; --i) length = length << 8 | static_cast<unsigned char>(bytes[at + i]);
      const std::string record = bytes.substr(at + 12, length);
      EXPECT_EQ(bytes.substr(at, length + 16), TensorFlowRecord(record));
      EXPECT_TRUE(events.emplace_back().ParseFromString(record));
      at += length + 16;
    }
    return events;
  }

  // "brain.Event:2, 7, 8": what the file begins with, and the steps of its scalars.
  std::string FileVersionAndSteps() const {
    std::string text;
    for (const tensorboard::Event& event : Events()) {
      if (text.empty()) text = event.file_version();
      if (event.has_summary()) absl::StrAppend(&text, ", ", event.step());
    }
    return text;
  }

  static float ValueOf(const tensorboard::Event& event, const std::string& tag) {
    for (const auto& value : event.summary().value()) {
      if (value.tag() == tag) return value.simple_value();
    }
    ADD_FAILURE() << "there is no " << tag;
    return 0;
  }

  const std::string run_ = absl::StrCat(::testing::TempDir(), "/event_file_test.", getpid());
  const std::string folder_ = run_ + "/tensorboard";
};

TEST_F(EventFileTest, ARecordIsAsTensorBoardsOwnWriterMakesIt) {
  // tests/reference/make_events.py wrote the file with TensorBoard's writer.
  const std::string theirs = ReadFile(ARCSHARD_SOURCE_DIR "/tests/data/tensorboard.events").value();
  tensorboard::Event event;
  event.set_wall_time(1700000000.5);
  event.set_step(7);
  tensorboard::Summary::Value* const value = event.mutable_summary()->add_value();
  value->set_tag("train/loss");
  value->set_simple_value(0.25f);
  EXPECT_EQ(TensorFlowRecord(event.SerializeAsString()), theirs);
}

TEST_F(EventFileTest, StepsAndVerificationsAreScalars) {
  EventFile file(folder_, "1");
  EXPECT_FALSE(std::filesystem::exists(folder_));
  file.AddStep(10.5, {.step = 3, .epoch = 0.5, .loss = 12.25, .target_cosine = 0.125, .lr = 0.1});
  Progress verified;
  verified.verification_step = 3;
  verified.verification = {{.name = "lfw", .accuracy = 0.75, .xnorm = 20, .accept_rates = {{.far = 1e-4, .tar = 0.5}}}};
  verified.best_accuracy = 0.875;
  file.AddVerification(11, verified);
  const std::vector<tensorboard::Event> events = Events();
  ASSERT_EQ(events.size(), 4u);
  EXPECT_EQ(events[0].file_version(), "brain.Event:2");
  EXPECT_EQ(events[2].wall_time(), 10.5);
  EXPECT_EQ(events[2].step(), 3);
  EXPECT_EQ(ValueOf(events[2], "train/loss"), 12.25f);
  EXPECT_EQ(ValueOf(events[2], "train/target_cosine"), 0.125f);
  EXPECT_EQ(ValueOf(events[2], "train/learning_rate"), 0.1f);
  EXPECT_EQ(events[3].step(), 3);
  EXPECT_EQ(ValueOf(events[3], "verification/lfw/accuracy"), 0.75f);
  EXPECT_EQ(ValueOf(events[3], "verification/lfw/tar_at_far_0.0001"), 0.5f);
  EXPECT_EQ(ValueOf(events[3], "verification/best_accuracy"), 0.875f);
}

TEST_F(EventFileTest, ALifeThatResumesVoidsWhatEarlierOnesWroteOfLaterSteps) {
  EventFile file(folder_, "1");
  file.ResumeAfter(40);
  file.AddStep(1, {.step = 41});
  const std::vector<tensorboard::Event> events = Events();
  ASSERT_EQ(events.size(), 3u);
  EXPECT_EQ(events[1].session_log().status(), tensorboard::SessionLog::START);
  EXPECT_EQ(events[1].step(), 41);
}

TEST_F(EventFileTest, ARollbackVoidsWhatWasWrittenOfLaterSteps) {
  EventFile file(folder_, "1");
  file.AddStep(100.5, {.step = 7});
  file.AddRollback(101.5, 4);
  const std::vector<tensorboard::Event> events = Events();
  EXPECT_EQ(events.back().session_log().status(), tensorboard::SessionLog::START);
  EXPECT_EQ(events.back().step(), 5);
  EXPECT_EQ(events.back().wall_time(), 101.5);
}

TEST_F(EventFileTest, AfterAFullDiskTheFileIsStillReadable) {
  EventFile file(folder_, "1");
  file.AddStep(1, {.step = 1});
  const size_t size = Bytes().size();
  signal(SIGXFSZ, SIG_IGN);
  const rlimit full = {size + 5, RLIM_INFINITY}, free = {RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  file.AddStep(2, {.step = 2});
  file.AddStep(3, {.step = 3});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &free), 0);
  EXPECT_EQ(Bytes().size(), size);
  file.AddStep(4, {.step = 4});
  EXPECT_EQ(Events().back().step(), 4);
}

TEST_F(EventFileTest, AFileThatWasMadeOnAFullDiskBeginsWithItsVersionOnceThereIsRoom) {
  EventFile file(folder_, "1");
  signal(SIGXFSZ, SIG_IGN);
  const rlimit full = {5, RLIM_INFINITY}, free = {RLIM_INFINITY, RLIM_INFINITY};
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &full), 0);
  file.AddStep(1, {.step = 1});
  ASSERT_EQ(setrlimit(RLIMIT_FSIZE, &free), 0);
  EXPECT_EQ(Bytes(), "");
  file.AddStep(2, {.step = 2});
  EXPECT_EQ(FileVersionAndSteps(), "brain.Event:2, 2");
}

TEST_F(EventFileTest, AfterItsFolderWasDeletedANewFileHasWhatFollows) {
  EventFile file(folder_, "1");
  ::testing::internal::CaptureStderr();
  file.AddStep(1, {.step = 1});
  for (const uint64_t step : {2, 4}) {
    std::filesystem::remove_all(folder_);
    file.AddStep(2, {.step = step});
    file.AddStep(3, {.step = step + 1});
    EXPECT_EQ(FileVersionAndSteps(), absl::StrCat("brain.Event:2, ", step, ", ", step + 1));
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_THAT(log, HasSubstr("error: " + folder_ +
                             "/events.out.tfevents.1: was deleted or renamed; a new file has what follows; the run "
                             "continues, but TensorBoard's plots will have gaps\n"));
  EXPECT_EQ(std::count(log.begin(), log.end(), '\n'), 1) << log;
}

TEST_F(EventFileTest, AfterItsFileWasRenamedANewOneHasWhatFollows) {
  EventFile file(folder_, "1");
  file.AddStep(1, {.step = 1});
  const std::string before = Bytes();
  std::filesystem::rename(folder_ + "/events.out.tfevents.1", run_ + "/elsewhere");
  file.AddStep(2, {.step = 2});
  EXPECT_EQ(FileVersionAndSteps(), "brain.Event:2, 2");
  EXPECT_EQ(ReadFile(run_ + "/elsewhere").value_or(""), before);
}

TEST_F(EventFileTest, AfterTheRunsFolderWasDeletedEventsAreLostUntilThereIsOneAgain) {
  EventFile file(folder_, "1");
  file.AddStep(1, {.step = 1});
  std::filesystem::remove_all(run_);
  file.AddStep(2, {.step = 2});
  EXPECT_FALSE(std::filesystem::exists(run_));
  std::filesystem::create_directories(run_);
  file.AddStep(3, {.step = 3});
  EXPECT_EQ(FileVersionAndSteps(), "brain.Event:2, 3");
}

TEST_F(EventFileTest, ALinkIsNotFollowed) {
  std::filesystem::create_directories(folder_);
  std::filesystem::create_symlink(run_ + "/elsewhere", folder_ + "/events.out.tfevents.1");
  EventFile(folder_, "1").AddStep(1, {.step = 1});
  EXPECT_FALSE(std::filesystem::exists(run_ + "/elsewhere"));
}

}  // namespace
}  // namespace arcshard::coordinator
