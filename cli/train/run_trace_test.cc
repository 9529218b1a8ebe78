#include "cli/train/run_trace.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "common/io/file.h"

namespace arcshard::cli {
namespace {

class RunTraceTest : public testing::Test {
 protected:
  RunTraceTest() { std::filesystem::create_directory(folder_); }
  ~RunTraceTest() override { std::filesystem::remove_all(folder_); }

  // What a process of this name and number has written.
  void PutPart(const std::string& name, const std::string& number) {
    const std::string path = absl::StrReplaceAll(RunTrace::PartOf(path_, name), {{"%p", number}});
    std::ofstream(path) << "[\n{\"name\":\"" << name << "-" << number << "\"}\n]\n";
  }
  std::string Names() const {
    std::string names;
    for (const auto& event : nlohmann::json::parse(*ReadFile(path_))) {
      absl::StrAppend(&names, event["name"].get<std::string>(), " ");
    }
    return names;
  }

  const std::string folder_ = absl::StrCat(testing::TempDir(), "/run_trace_", getpid());
  const std::string path_ = folder_ + "/trace.json";
  RunTrace trace_{RealFileSystem(), path_};
};

TEST_F(RunTraceTest, TheLivesOfAllProcessesBecomeOneFile) {
  ASSERT_TRUE(trace_.Prepare().ok());
  PutPart("shard-0", "7");
  PutPart("shard-0", "8");
  PutPart("worker-0", "9");
  ASSERT_TRUE(trace_.Merge().ok());
  EXPECT_EQ(Names(), "shard-0-7 shard-0-8 worker-0-9 ");
  EXPECT_FALSE(std::filesystem::exists(path_ + ".parts"));
}

TEST_F(RunTraceTest, PartsOfAnEarlierRunAreNotOfThisOne) {
  ASSERT_TRUE(trace_.Prepare().ok());
  PutPart("shard-0", "7");
  ASSERT_TRUE(trace_.Prepare().ok());
  PutPart("shard-0", "8");
  ASSERT_TRUE(trace_.Merge().ok());
  EXPECT_EQ(Names(), "shard-0-8 ");
}

TEST_F(RunTraceTest, AFileThatCannotBeMadeIsSaidBeforeTheRun) {
  const absl::Status status = RunTrace(RealFileSystem(), folder_ + "/none/trace.json").Prepare();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  const absl::Status folder = RunTrace(RealFileSystem(), folder_).Prepare();
  EXPECT_TRUE(absl::IsFailedPrecondition(folder)) << folder;
}

TEST_F(RunTraceTest, WithoutAPartTheEarlierTraceStays) {
  ASSERT_TRUE(trace_.Prepare().ok());
  std::ofstream(path_) << "[]";
  EXPECT_TRUE(absl::IsNotFound(trace_.Merge()));
  EXPECT_EQ(ReadFile(path_).value_or(""), "[]");
}

TEST_F(RunTraceTest, PartsThatCannotBecomeOneFileStayAndTheErrorSaysWhere) {
  ASSERT_TRUE(trace_.Prepare().ok());
  PutPart("shard-0", "7");
  std::filesystem::create_directory(path_);  // where the file is to be
  const absl::Status status = trace_.Merge();
  EXPECT_FALSE(status.ok());
  EXPECT_NE(status.message().find(path_ + ".parts"), absl::string_view::npos) << status;
  EXPECT_TRUE(std::filesystem::exists(path_ + ".parts/shard-0-7.json"));
}

}  // namespace
}  // namespace arcshard::cli
