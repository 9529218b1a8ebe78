#include "launcher/run_folder.h"

#include "gmock/gmock.h"
#include "launcher/launcher_test_kit.h"
#include "nlohmann/json.hpp"

namespace arcshard::launcher {
namespace {

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

}  // namespace
}  // namespace arcshard::launcher
