#include <stdlib.h>
#include <unistd.h>

#include <climits>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "gtest/gtest.h"

namespace arcshard {
namespace {

bool IsWithin(const std::filesystem::path& path, const std::filesystem::path& folder) {
  return path.lexically_relative(folder).native().rfind("..", 0) != 0;
}

// Run by the test below, in a process of its own.
TEST(TestMainTest, DISABLED_LeavesFiles) {
  std::ofstream(testing::TempDir() + "a_file") << "text";
  std::filesystem::create_directories(std::filesystem::temp_directory_path() / "a_folder" / "within");
  ASSERT_TRUE(std::filesystem::exists(testing::TempDir() + "a_file"));
}

TEST(TestMainTest, WhatATestLeavesInFoldersForTemporaryFilesIsGoneAfterIt) {
  char self[PATH_MAX] = {};
  ASSERT_GT(readlink("/proc/self/exe", self, sizeof(self) - 1), 0);
  std::string base = testing::TempDir() + "base_XXXXXX";
  ASSERT_NE(mkdtemp(base.data()), nullptr);
  const std::string command = "TEST_TMPDIR=" + base + " '" + self +
                              "' --gtest_also_run_disabled_tests --gtest_filter='*.DISABLED_LeavesFiles' >" + base +
                              ".log 2>&1";
  ASSERT_EQ(std::system(command.c_str()), 0);
  EXPECT_TRUE(std::filesystem::is_empty(base));
}

TEST(TestMainTest, EveryProcessHasATemporaryFolderOfItsOwn) {
  const std::filesystem::path folder = testing::TempDir();
  EXPECT_NE(folder, "/tmp/");
  EXPECT_TRUE(IsWithin(std::filesystem::temp_directory_path(), folder));
}

TEST(TestMainDeathTest, AProcessThatIsToDieUsesTheFolderOfTheTestThatStartsIt) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  const std::string folder = testing::TempDir();
  setenv("TEST_MAIN_TEST_FOLDER", folder.c_str(), 0);
  EXPECT_EXIT(std::_Exit(testing::TempDir() == std::getenv("TEST_MAIN_TEST_FOLDER") ? 0 : 1),
              testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace arcshard
