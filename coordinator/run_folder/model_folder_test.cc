#include "coordinator/run_folder/model_folder.h"

#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

class ModelFolderTest : public ::testing::Test {
 protected:
  ModelFolderTest() {
    EXPECT_TRUE(disk_.CreateFolders("/run/model").ok());
    for (const char* name : {"backbone.safetensors", "class_centers-0-5.safetensors", "class_centers-5-9.safetensors",
                             "class_centers-0-9.safetensors", "class_centers.txt"}) {
      const auto file = disk_.Create(std::string("/run/model/") + name);
      EXPECT_TRUE(file.ok()) << file.status();
    }
  }
  std::vector<std::string> Delete(const std::vector<ClassRange>& ranges) {
    const auto deleted = DeleteOtherRanges(&disk_, "/run", ranges);
    EXPECT_TRUE(deleted.ok()) << deleted.status();
    return deleted.value_or(std::vector<std::string>{"(failed)"});
  }

  MemoryFileSystem disk_;
};

TEST_F(ModelFolderTest, WhatALifeOverOtherRangesHasLeftIsDeleted) {
  EXPECT_THAT(Delete({{0, 9}, {9, 9}}),
              ElementsAre("/run/model/class_centers-0-5.safetensors", "/run/model/class_centers-5-9.safetensors"));
  EXPECT_THAT(Delete({{0, 9}, {9, 9}}), IsEmpty());
  const auto left = disk_.List("/run/model");
  ASSERT_TRUE(left.ok());
  EXPECT_EQ(left->size(), 3u);
}

TEST_F(ModelFolderTest, WhatAKilledProcessHasLeftUnfinishedIsDeleted) {
  const std::string unfinished = "/run/model/backbone.safetensors.tmp-17-3";
  ASSERT_TRUE(disk_.Create(unfinished).ok());
  EXPECT_THAT(Delete({{0, 5}, {5, 9}}), UnorderedElementsAre("/run/model/class_centers-0-9.safetensors", unfinished));
}

TEST_F(ModelFolderTest, NothingIsDeletedWhileARangeIsMissing) {
  EXPECT_THAT(Delete({{0, 4}, {4, 9}}), IsEmpty());
  EXPECT_THAT(Delete({{0, 5}, {5, 8}, {8, 9}}), IsEmpty());
  EXPECT_THAT(Delete({}), IsEmpty());
}

TEST_F(ModelFolderTest, ARunThatHasLeftNoModelHasNothingToDelete) {
  const auto deleted = DeleteOtherRanges(&disk_, "/other", {{0, 9}});
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_THAT(*deleted, IsEmpty());
}

}  // namespace
}  // namespace arcshard::coordinator
