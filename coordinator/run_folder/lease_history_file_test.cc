#include "coordinator/run_folder/lease_history_file.h"

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

TEST(LeaseHistoryFileTest, WhatIsWrittenIsReadBack) {
  const std::string path = PathOf("devices.json");
  const LeaseHistory history = {{"m1", "GPU-a", "shard-0"}, {"m1", "GPU-b", "\"quoted\"\n"}};
  ASSERT_TRUE(WriteLeaseHistory(path, history).ok());
  EXPECT_EQ(*ReadLeaseHistory(path), history);
  ASSERT_TRUE(WriteLeaseHistory(path, {}).ok());
  EXPECT_THAT(*ReadLeaseHistory(path), IsEmpty());
}

TEST(LeaseHistoryFileTest, ANameOfAnyBytesCanBeWritten) {
  const std::string path = PathOf("bytes.json");
  ASSERT_TRUE(WriteLeaseHistory(path, {{"m\xff", "GPU-a", "shard-0"}}).ok());
  EXPECT_EQ(ReadLeaseHistory(path)->front().uuid, "GPU-a");
}

TEST(LeaseHistoryFileTest, NoFileIsNoHistory) { EXPECT_THAT(*ReadLeaseHistory(PathOf("missing.json")), IsEmpty()); }

TEST(LeaseHistoryFileTest, AnythingElseIsRefusedByItsName) {
  const std::string path = PathOf("damaged.json");
  for (const char* text :
       {"", "{}", "[1]", "[{}]", "[{\"machine\": \"m\", \"uuid\": 3, \"replica\": \"r\"}]", "[{\"machine\""}) {
    ASSERT_TRUE(WriteFileAtomically(path, text).ok());
    const absl::Status status = ReadLeaseHistory(path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << text;
    EXPECT_THAT(std::string(status.message()), HasSubstr("damaged.json: is not a list of GPUs")) << text;
  }
}

}  // namespace
}  // namespace arcshard::coordinator
