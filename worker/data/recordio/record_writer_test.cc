#include "worker/data/recordio/record_writer.h"

#include <filesystem>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/recordio/record_file.h"
#include "worker/data/testing/test_folder.h"

namespace arcshard::worker {
namespace {

const std::string kMagic("\x0a\x23\xd7\xce", 4);

TEST(RecordWriterTest, WhatIsWrittenIsReadBackPartsAndLargeOnesIncluded) {
  const TestFolder folder;
  std::vector<std::string> payloads = {"",
                                       "a",
                                       "four",
                                       kMagic,
                                       absl::StrCat(kMagic, kMagic, "x", kMagic),
                                       absl::StrCat("x", kMagic),
                                       std::string(3 << 20, 'y')};
  auto writer = RecordWriter::Create(folder.Path("a.rec"), folder.Path("a.idx"));
  ASSERT_TRUE(writer.ok()) << writer.status();
  for (size_t i = 0; i < payloads.size(); ++i) {
    ASSERT_TRUE(writer->Add(static_cast<int64_t>(i), payloads[i]).ok());
  }
  EXPECT_FALSE(std::filesystem::exists(folder.Path("a.rec")));
  ASSERT_EQ(writer->Commit(), absl::OkStatus());
  EXPECT_EQ(static_cast<int64_t>(std::filesystem::file_size(folder.Path("a.rec"))), writer->bytes());

  auto file = RecordFile::Open(folder.Path("a.rec"), folder.Path("a.idx"));
  ASSERT_TRUE(file.ok()) << file.status();
  std::string payload;
  for (size_t i = 0; i < payloads.size(); ++i) {
    ASSERT_TRUE((*file)->Read(static_cast<int64_t>(i), &payload).ok());
    EXPECT_EQ(payload, payloads[i]) << i;
  }
}

TEST(RecordWriterTest, WithoutCommitNothingIsLeft) {
  const TestFolder folder;
  {
    auto writer = RecordWriter::Create(folder.Path("a.rec"), folder.Path("a.idx"));
    ASSERT_TRUE(writer->Add(0, std::string(2 << 20, 'y')).ok());
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(RecordWriterTest, ARecordThatItsLengthCannotNameIsRefused) {
  const TestFolder folder;
  auto writer = RecordWriter::Create(folder.Path("a.rec"), folder.Path("a.idx"));
  const std::string memory(16, '\0');
  // Only the size is checked.
  const absl::Status status = writer->Add(7, absl::string_view(memory.data(), kMaxRecordBytes));
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status.message(), "record 7 has 536870912 bytes; a record of a RecordIO file has at most 536870911");
}

}  // namespace
}  // namespace arcshard::worker
