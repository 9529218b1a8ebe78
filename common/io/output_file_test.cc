#include "common/io/output_file.h"

#include <stdlib.h>

#include <filesystem>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
namespace fs = std::filesystem;

class OutputFileTest : public ::testing::Test {
 protected:
  OutputFileTest() : folder_(::testing::TempDir() + "/output_file_XXXXXX") {
    EXPECT_NE(mkdtemp(folder_.data()), nullptr);
    EXPECT_TRUE(WriteFileAtomically(Path("input"), "dear").ok());
    fs::create_directory(Path("folder"));
  }
  ~OutputFileTest() override { fs::remove_all(folder_); }
  std::string Path(const std::string& name) const { return absl::StrCat(folder_, "/", name); }

  std::string folder_;
};

TEST_F(OutputFileTest, AFreeNameInAFolderIsFine) {
  EXPECT_TRUE(CheckOutputFile(Path("new"), false, {Path("input")}).ok());
  EXPECT_TRUE(CheckOutputFile(Path("folder/new"), true).ok());
}

TEST_F(OutputFileTest, WhatIsThereIsReplacedOnlyWhenAsked) {
  EXPECT_EQ(CheckOutputFile(Path("input"), false).message(), Path("input") + " exists already; --force replaces it");
  EXPECT_TRUE(CheckOutputFile(Path("input"), true).ok());
  fs::create_symlink("nothing", Path("link"));
  EXPECT_EQ(CheckOutputFile(Path("link"), false).code(), absl::StatusCode::kAlreadyExists);
}

TEST_F(OutputFileTest, AnInputIsNeverReplacedHoweverItIsSpelt) {
  fs::create_symlink("input", Path("link"));
  fs::create_hard_link(Path("input"), Path("hard"));
  fs::create_directory_symlink(folder_, Path("folder/up"));
  for (const char* name : {"input", "folder/../input", "link", "hard", "folder/up/input"}) {
    const absl::Status status = CheckOutputFile(Path(name), true, {"/other", Path("input")});
    EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << name;
    EXPECT_THAT(std::string(status.message()), HasSubstr("is read by the same command: it is not replaced")) << name;
  }
}

TEST_F(OutputFileTest, WhatLiesInAFolderIsFoundAtAnyDepthHoweverItIsSpelt) {
  fs::create_directory_symlink(Path("folder"), Path("link"));
  for (const char* name : {"folder", "folder/", "folder/.", "folder/new", "folder/new/", "folder/a/b/c", "link/new",
                           "none/../folder/new", "link"}) {
    EXPECT_TRUE(IsWithin(Path(name), Path("folder"))) << name;
  }
  for (const char* name : {"", "input", "folders", "folder/..", "folder/../new", "none/folder"}) {
    EXPECT_FALSE(IsWithin(Path(name), Path("folder"))) << name;
  }
  EXPECT_TRUE(IsWithin("new", ".")) << "a relative name that is not there yet";
  EXPECT_FALSE(IsWithin("", "."));
}

TEST_F(OutputFileTest, NamesOfFilesThatAreNotThereAreComparedToo) {
  EXPECT_TRUE(IsSameFile(Path("new"), Path("folder/../new")));
  EXPECT_FALSE(IsSameFile(Path("new"), Path("newer")));
  EXPECT_FALSE(IsSameFile(Path("new"), Path("none/new")));
  EXPECT_FALSE(IsSameFile("", ""));
}

TEST_F(OutputFileTest, AFolderOrADeviceIsNoFile) {
  EXPECT_EQ(CheckOutputFile(Path("folder"), true).code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(CheckOutputFile("/dev/null", true).message()), HasSubstr("is a folder or a device"));
}

TEST_F(OutputFileTest, AFolderThatIsNotThereIsSaidAtOnce) {
  EXPECT_EQ(CheckOutputFile(Path("none/new"), false).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(CheckOutputFile(Path("none/new"), false).message()), HasSubstr("its folder is not there"));
  EXPECT_FALSE(CheckOutputFile(Path("input/new"), false).ok());
}

}  // namespace
}  // namespace arcshard
