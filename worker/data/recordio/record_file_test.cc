#include "worker/data/recordio/record_file.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "worker/data/testing/test_folder.h"
#include "worker/data/testing/test_records.h"

namespace arcshard::worker {
namespace {

using ::testing::HasSubstr;

const std::string kMagic("\x0a\x23\xd7\xce", 4);

class RecordFileTest : public ::testing::Test {
 protected:
  absl::StatusOr<std::unique_ptr<RecordFile>> Open() {
    return RecordFile::Open(folder_.Write("a.rec", writer_.rec), folder_.Write("a.idx", writer_.idx));
  }
  std::string MessageOfOpen() { return std::string(Open().status().message()); }

  TestFolder folder_;
  TestRecords writer_;
};

TEST_F(RecordFileTest, PayloadsOfEveryLengthComeBack) {
  for (int64_t i = 0; i < 9; ++i) writer_.Add(i, std::string(i, 'a' + static_cast<char>(i)));
  auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->size(), 9);
  std::string payload;
  for (int64_t i = 8; i >= 0; --i) {
    ASSERT_TRUE((*file)->Read(i, &payload).ok());
    EXPECT_EQ(payload, std::string(i, 'a' + static_cast<char>(i)));
  }
}

TEST_F(RecordFileTest, RecordsInPartsAreJoinedWithTheMagicBetween) {
  const std::vector<std::string> payloads = {kMagic, absl::StrCat("head", kMagic, kMagic, "tail!"),
                                             absl::StrCat("odd", kMagic), absl::StrCat(kMagic, "end"),
                                             absl::StrCat("four", kMagic)};
  for (size_t i = 0; i < payloads.size(); ++i) writer_.Add(static_cast<int64_t>(i), payloads[i]);
  EXPECT_GT(writer_.rec.size(), 12 * payloads.size());
  auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  std::string payload;
  for (size_t i = 0; i < payloads.size(); ++i) {
    ASSERT_TRUE((*file)->Read(static_cast<int64_t>(i), &payload).ok());
    EXPECT_EQ(payload, payloads[i]) << i;
  }
}

TEST_F(RecordFileTest, AnIndexWithGapsAndOutOfOrderFindsItsRecords) {
  for (const int64_t number : {70, 5, 30}) writer_.Add(number, absl::StrCat("record ", number));
  auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->number(0), 5);
  EXPECT_EQ((*file)->number(2), 70);
  EXPECT_TRUE((*file)->Contains(30));
  EXPECT_FALSE((*file)->Contains(31));
  std::string payload;
  ASSERT_TRUE((*file)->Read(70, &payload).ok());
  EXPECT_EQ(payload, "record 70");
  EXPECT_EQ((*file)->Read(6, &payload).code(), absl::StatusCode::kNotFound);
}

TEST_F(RecordFileTest, AFileThatLacksRecordsIsRefusedAndOneCutOffWithinItsLastHasADamagedOne) {
  writer_.Add(0, "first record");
  const size_t last = writer_.rec.size();
  writer_.Add(1, absl::StrCat("two ", kMagic, "parts"));
  const std::string whole = writer_.rec;
  std::string payload;
  for (size_t length = 0; length < whole.size(); ++length) {
    writer_.rec = whole.substr(0, length);
    const auto file = Open();
    EXPECT_EQ(file.ok(), length >= last + 8) << length;
    if (file.ok()) {
      EXPECT_EQ((*file)->Read(0, &payload), absl::OkStatus());
    }
    const absl::Status status = file.ok() ? (*file)->Read(1, &payload) : file.status();
    EXPECT_EQ(status.code(), file.ok() ? absl::StatusCode::kDataLoss : absl::StatusCode::kOutOfRange) << length;
    EXPECT_THAT(std::string(status.message()), HasSubstr("a.rec")) << length;
    EXPECT_THAT(std::string(status.message()), HasSubstr("cut off")) << length;
  }
}

TEST_F(RecordFileTest, ALengthThatPassesTheNextRecordIsDataLossAndTheOthersAreRead) {
  for (const std::vector<int64_t>& numbers : {std::vector<int64_t>{0, 1, 2}, {2, 0, 1}}) {
    writer_ = TestRecords();
    for (const int64_t number : numbers) writer_.Add(number, absl::StrCat("record ", number));
    writer_.rec[4] = 40;  // the length of the first record in the file
    const auto file = Open();
    ASSERT_TRUE(file.ok()) << file.status();
    std::string payload;
    const absl::Status status = (*file)->Read(numbers[0], &payload);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(std::string(status.message()), HasSubstr("40 bytes at offset 8 pass the next record at 16"));
    EXPECT_EQ(payload, "");
    for (const int64_t number : {numbers[1], numbers[2]}) EXPECT_EQ((*file)->Read(number, &payload), absl::OkStatus());
  }
}

TEST_F(RecordFileTest, AnOffsetPastTheEndIsRefusedWithItsRecord) {
  writer_.Add(0, "first record");
  writer_.AddIndexLine(1, 4000);
  EXPECT_THAT(MessageOfOpen(), HasSubstr("record 1 begins at offset 4000, but"));
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kOutOfRange);
}

TEST_F(RecordFileTest, LinesThatAreNoIndexAreRefusedWithTheirNumber) {
  writer_.Add(0, "first record");
  const std::string good = writer_.idx;
  for (const char* line : {"1", "1\t-4", "x\t0", "1\t0\t0", "1 99999999999999999999", "1 2 3"}) {
    writer_.idx = absl::StrCat(good, line, "\n");
    EXPECT_THAT(MessageOfOpen(), HasSubstr("line 2 of ")) << line;
  }
  writer_.idx = "";
  EXPECT_THAT(MessageOfOpen(), HasSubstr("is empty"));
  writer_.idx = absl::StrCat(good, good);
  EXPECT_THAT(MessageOfOpen(), HasSubstr("names record 0 twice"));
}

TEST_F(RecordFileTest, EmptyLinesAndAByteOrderMarkAreNoLinesOfTheIndex) {
  writer_.Add(0, "first record");
  const std::string good = writer_.idx;
  writer_.idx = absl::StrCat("\xef\xbb\xbf", "\n \r\n", good, "\n\n \t");
  const auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ((*file)->size(), 1);
  writer_.idx = absl::StrCat("\n", good, "\nwrong\n");
  EXPECT_THAT(MessageOfOpen(), HasSubstr("line 4 of ")) << "empty lines count";
  writer_.idx = "\n\n";
  EXPECT_THAT(MessageOfOpen(), HasSubstr("is empty"));
}

TEST_F(RecordFileTest, AFileOfAnotherKindIsCalledWhatItIs) {
  writer_.Add(0, "first record");
  const std::string rec = writer_.rec;
  const std::string pointer = "version https://git-lfs.github.com/spec/v1\n";
  writer_.rec = pointer;
  EXPECT_THAT(MessageOfOpen(), HasSubstr("a.rec is a pointer of Git LFS, whose file was not fetched"));
  writer_.rec = rec;
  writer_.idx = pointer;
  EXPECT_THAT(MessageOfOpen(), HasSubstr("a.idx is a pointer of Git LFS, whose file was not fetched"));
  writer_.idx = std::string(
      "\xff\xfe"
      "0\0",
      4);
  EXPECT_THAT(MessageOfOpen(), HasSubstr("a.idx is a text in UTF-16; save it as UTF-8"));
}

TEST_F(RecordFileTest, WindowsLineEndsAndAMissingLastOneAreFine) {
  writer_.Add(0, "first record");
  writer_.idx = "0 \t 0\r\n1\t0";
  EXPECT_TRUE(Open().ok()) << Open().status();
}

TEST_F(RecordFileTest, BytesThatAreNoRecordAreDataLossWithRecordAndOffset) {
  writer_.AddIndexLine(0, 4);
  writer_.Add(1, "sound record");
  writer_.AddPart(2, "lone middle part");
  writer_.AddIndexLine(2, 20);
  writer_.Add(3, "last one");
  auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  std::string payload;
  absl::Status status = (*file)->Read(0, &payload);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("record 0 of "));
  EXPECT_THAT(std::string(status.message()), HasSubstr("a.rec: no record begins at offset 4"));
  status = (*file)->Read(2, &payload);
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), HasSubstr("flag 2"));
}

TEST_F(RecordFileTest, AFirstPartFollowedByAWholeRecordIsDataLoss) {
  writer_.AddIndexLine(0, 0);
  writer_.AddPart(1, "part");
  writer_.Add(1, "last one");
  auto file = Open();
  ASSERT_TRUE(file.ok()) << file.status();
  std::string payload;
  EXPECT_EQ((*file)->Read(0, &payload).code(), absl::StatusCode::kDataLoss);
}

TEST_F(RecordFileTest, AMissingFileIsNamed) {
  const absl::Status status = RecordFile::Open(folder_.Path("none.rec"), folder_.Path("none.idx")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(status.message()), HasSubstr("none.rec"));
  EXPECT_EQ(RecordFile::Open(folder_.path(), folder_.Path("none.idx")).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST_F(RecordFileTest, TheFingerprintTellsIndicesApart) {
  writer_.Add(0, "abcd");
  writer_.Add(1, "efgh");
  const uint64_t fingerprint = (*Open())->fingerprint();
  EXPECT_EQ((*Open())->fingerprint(), fingerprint);
  writer_.idx = "0\t12\n1\t0\n";
  EXPECT_NE((*Open())->fingerprint(), fingerprint);
  writer_.idx = "0\t0\n2\t12\n";
  EXPECT_NE((*Open())->fingerprint(), fingerprint);
}

}  // namespace
}  // namespace arcshard::worker
