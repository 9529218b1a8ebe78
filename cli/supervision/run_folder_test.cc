#include "cli/supervision/run_folder.h"

#include <fcntl.h>

#include <cerrno>
#include <filesystem>
#include <thread>

#include "cli/supervision/testing/script_test.h"
#include "common/base/testing/refused_call.h"
#include "common/io/file_lock.h"
#include "common/io/log.h"
#include "gmock/gmock.h"
#include "nlohmann/json.hpp"

namespace arcshard::cli {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

class RunFolderTest : public ScriptTest {};

TEST_F(RunFolderTest, IsCreatedWithItsLogs) {
  const auto folder = RunFolder::Take(Path("a/run"));
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_TRUE(std::filesystem::is_directory(Path("a/run/logs")));
  EXPECT_EQ(folder->LogOf(Role::kShard, 2), Path("a/run/logs/shard-2.log"));
  EXPECT_EQ(folder->backbone(), Path("a/run/model/backbone.safetensors"));
}

TEST_F(RunFolderTest, HasOneLauncherAtATime) {
  {
    const auto folder = RunFolder::Take(Path("run"));
    ASSERT_TRUE(folder.ok());
    const auto second = RunFolder::Take(Path("run"));
    EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(second.status().message()), HasSubstr(Path("run/processes.json")));
  }
  EXPECT_TRUE(RunFolder::Take(Path("run")).ok());
}

TEST_F(RunFolderTest, OnAFileSystemWithoutLocksIsTakenWithAWarning) {
  bool refused = false;
  std::string warning;
  std::thread([&] {
    refused = RefuseCall(SYS_flock, ENOLCK);
    const auto folder = RunFolder::Take(Path("run"));
    ASSERT_TRUE(folder.ok()) << folder.status();
    warning = folder->warning();
  }).join();
  if (!refused) GTEST_SKIP() << "this machine does not let a process filter its calls";
  EXPECT_THAT(warning, AllOf(HasSubstr(Path("run/logs")), HasSubstr("nothing keeps a second arcshard train out")));
  EXPECT_EQ(RunFolder::Take(Path("run"))->warning(), "");
}

TEST_F(RunFolderTest, ListsTheProcessesAsLongAsItIsHeld) {
  {
    auto folder = RunFolder::Take(Path("run"));
    ASSERT_TRUE(folder.ok());
    ASSERT_TRUE(folder->List("127.0.0.1:4711", {{Role::kWorker, 1, 123, "a \"log\""}}).ok());
    const auto text = ReadFile(Path("run/processes.json"));
    ASSERT_TRUE(text.ok());
    const nlohmann::json json = nlohmann::json::parse(*text);
    EXPECT_EQ(json["launcher"], getpid());
    EXPECT_EQ(json["coordinator"], "127.0.0.1:4711");
    EXPECT_EQ(json["processes"],
              nlohmann::json::parse(R"([{"role": "worker", "index": 1, "pid": 123, "log": "a \"log\""}])"));
  }
  EXPECT_FALSE(std::filesystem::exists(Path("run/processes.json")));
}

TEST_F(RunFolderTest, NotesAreLinesOfALogThatLaterLaunchersContinue) {
  const absl::Time date = absl::FromUnixSeconds(1700000000);
  for (const char* sentence : {"shard 1 died", "so did\nworker 0"}) {
    auto folder = RunFolder::Take(Path("run"));
    ASSERT_TRUE(folder.ok());
    EXPECT_EQ(std::filesystem::exists(Path("run/logs/launcher.log")), sentence[0] == 's' && sentence[1] == 'o');
    folder->Note(date, sentence);
  }
  EXPECT_EQ(
      ReadFile(Path("run/logs/launcher.log")).value_or(""),
      FormatLogLine(date, "arcshard train", "shard 1 died") + FormatLogLine(date, "arcshard train", "so did worker 0"));
}

TEST_F(RunFolderTest, KeepsTheConfigurationForACoordinatorThatIsStartedAgain) {
  auto folder = RunFolder::Take(Path("run"));
  ASSERT_TRUE(folder.ok());
  for (const char* yaml : {"run: {}\n", "data: {}\n"}) {
    EXPECT_EQ(folder->KeepConfig(yaml).value_or(""), Path("run/logs/config.yaml"));
    EXPECT_EQ(ReadFile(Path("run/logs/config.yaml")).value_or(""), yaml);
  }
}

TEST_F(RunFolderTest, TheListOfAnotherLauncherStays) {
  {
    auto folder = RunFolder::Take(Path("run"));
    ASSERT_TRUE(folder.ok());
    EXPECT_TRUE(folder->still_there());
    std::filesystem::remove_all(Path("run"));
    EXPECT_FALSE(folder->still_there());
    std::filesystem::create_directories(Path("run/logs"));
    EXPECT_FALSE(folder->still_there());
    ASSERT_TRUE(WriteFileAtomically(Path("run/processes.json"), R"({"launcher": 1})").ok());
  }
  EXPECT_TRUE(std::filesystem::exists(Path("run/processes.json")));
}

TEST_F(RunFolderTest, WhatAKilledLauncherHasLeftIsRemoved) {
  ASSERT_TRUE(RunFolder::Take(Path("run")).ok());
  for (const char* name : {"processes.json.tmp-12-0", "processes.json.tmp-x", "report.html.tmp-12-0"}) {
    ASSERT_TRUE(WriteFileAtomically(Path("run/") + name, "{").ok());
  }
  ASSERT_TRUE(RunFolder::Take(Path("run")).ok());
  EXPECT_FALSE(std::filesystem::exists(Path("run/processes.json.tmp-12-0")));
  EXPECT_TRUE(std::filesystem::exists(Path("run/processes.json.tmp-x")));
  EXPECT_TRUE(std::filesystem::exists(Path("run/report.html.tmp-12-0")));
}

TEST_F(RunFolderTest, TellsTheCoordinatorOfTheRunInProgress) {
  auto folder = RunFolder::Take(Path("run"));
  ASSERT_TRUE(folder.ok());
  ASSERT_TRUE(folder->List("", {}).ok());
  EXPECT_EQ(RunFolder::CoordinatorOf(Path("run")).status(),
            absl::UnavailableError(Path("run") + ": the coordinator does not listen yet"));
  ASSERT_TRUE(folder->List("127.0.0.1:4711", {}).ok());
  EXPECT_EQ(*RunFolder::CoordinatorOf(Path("run")), "127.0.0.1:4711");
}

TEST_F(RunFolderTest, WhereNoRunIsInProgressItSaysSo) {
  const auto message = [](const std::string& path) {
    const absl::Status status = RunFolder::CoordinatorOf(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    return std::string(status.message());
  };
  EXPECT_EQ(message(Path("run")), Path("run") + ": there is no such run folder");
  std::filesystem::create_directories(Path("run/model"));
  EXPECT_THAT(message(Path("run")), HasSubstr("no run of arcshard train is in progress here"));
  ASSERT_TRUE(WriteFileAtomically(Path("run/model/backbone.safetensors"), "").ok());
  EXPECT_EQ(message(Path("run")), Path("run") + ": no run is in progress here; the last one has left " +
                                      Path("run/model/backbone.safetensors"));
}

// What is left after kill -9 of the launcher, or a power cut.
TEST_F(RunFolderTest, TheListOfALauncherThatDoesNotLiveIsNoRunInProgress) {
  std::filesystem::create_directories(Path("run/logs"));
  for (const char* list : {R"({"coordinator": "127.0.0.1:4711"})", R"({"coordinator": ""})", ""}) {
    ASSERT_TRUE(WriteFileAtomically(Path("run/processes.json"), list).ok());
    const absl::Status none = RunFolder::CoordinatorOf(Path("run")).status();
    EXPECT_TRUE(absl::IsNotFound(none)) << none;
    EXPECT_THAT(std::string(none.message()), HasSubstr("no run of arcshard train is in progress here"));
  }
  ASSERT_TRUE(WriteFileAtomically(Path("run/lock"), "").ok());
  EXPECT_TRUE(absl::IsNotFound(RunFolder::CoordinatorOf(Path("run")).status()));
}

TEST_F(RunFolderTest, ARunWhoseLogsWereMadeAnewIsInProgressAsLongAsItsCoordinatorHasItsLock) {
  auto folder = RunFolder::Take(Path("run"));
  ASSERT_TRUE(folder.ok());
  ASSERT_TRUE(folder->List("127.0.0.1:4711", {}).ok());
  std::filesystem::remove_all(Path("run/logs"));
  std::filesystem::create_directories(Path("run/logs"));
  ASSERT_TRUE(WriteFileAtomically(Path("run/lock"), "").ok());
  {
    const FileDescriptor coordinator = OpenDescriptor(Path("run/lock"), O_RDWR);
    std::string why;
    ASSERT_EQ(TakeFileLock(coordinator, Path("run/lock"), &why), FileLock::kTaken);
    EXPECT_EQ(RunFolder::CoordinatorOf(Path("run")).value_or("none"), "127.0.0.1:4711");
  }
  EXPECT_TRUE(absl::IsNotFound(RunFolder::CoordinatorOf(Path("run")).status()));
}

TEST_F(RunFolderTest, OnAFileSystemWithoutLocksTheListIsBelieved) {
  std::filesystem::create_directories(Path("run/logs"));
  ASSERT_TRUE(WriteFileAtomically(Path("run/processes.json"), R"({"coordinator": "127.0.0.1:4711"})").ok());
  bool refused = false;
  std::string address;
  std::thread([&] {
    refused = RefuseCall(SYS_flock, ENOLCK);
    address = RunFolder::CoordinatorOf(Path("run")).value_or("none");
  }).join();
  if (!refused) GTEST_SKIP() << "this machine does not let a process filter its calls";
  EXPECT_EQ(address, "127.0.0.1:4711");
}

TEST_F(RunFolderTest, AListThatIsNoneIsRefused) {
  const auto folder = RunFolder::Take(Path("run"));
  ASSERT_TRUE(folder.ok());
  for (const char* text : {"", "[", "[]", "{}", R"({"coordinator": 5})"}) {
    ASSERT_TRUE(WriteFileAtomically(Path("run/processes.json"), text).ok());
    EXPECT_EQ(RunFolder::CoordinatorOf(Path("run")).status().code(), absl::StatusCode::kDataLoss) << text;
  }
}

}  // namespace
}  // namespace arcshard::cli
