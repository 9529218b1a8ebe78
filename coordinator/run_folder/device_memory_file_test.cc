#include "coordinator/run_folder/device_memory_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::string PathOf(const char* name) { return absl::StrCat(::testing::TempDir(), "/", getpid(), "_", name); }

TEST(DeviceMemoryFileTest, WhatIsWrittenIsReadBack) {
  const std::string path = PathOf("devices.json");
  const std::vector<DeviceMemory> memory = {{"m1", "GPU-a", "shard-0"}, {"m1", "GPU-b", "\"quoted\"\n"}};
  ASSERT_TRUE(WriteDeviceMemory(path, memory).ok());
  EXPECT_EQ(*ReadDeviceMemory(path), memory);
  ASSERT_TRUE(WriteDeviceMemory(path, {}).ok());
  EXPECT_THAT(*ReadDeviceMemory(path), IsEmpty());
}

TEST(DeviceMemoryFileTest, ANameOfAnyBytesCanBeWritten) {
  const std::string path = PathOf("bytes.json");
  ASSERT_TRUE(WriteDeviceMemory(path, {{"m\xff", "GPU-a", "shard-0"}}).ok());
  EXPECT_EQ(ReadDeviceMemory(path)->front().uuid, "GPU-a");
}

TEST(DeviceMemoryFileTest, NoFileIsNoMemory) { EXPECT_THAT(*ReadDeviceMemory(PathOf("missing.json")), IsEmpty()); }

TEST(DeviceMemoryFileTest, AnythingElseIsRefusedByItsName) {
  const std::string path = PathOf("damaged.json");
  for (const char* text :
       {"", "{}", "[1]", "[{}]", "[{\"machine\": \"m\", \"uuid\": 3, \"replica\": \"r\"}]", "[{\"machine\""}) {
    ASSERT_TRUE(WriteFileAtomically(path, text).ok());
    const absl::Status status = ReadDeviceMemory(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("damaged.json: is no list of GPUs")) << text;
  }
}

}  // namespace
}  // namespace arcshard::coordinator
