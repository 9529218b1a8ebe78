#include "common/checkpoint/checked_file.h"

#include <algorithm>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/checkpoint/crc32c.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr uint64_t kBlock = FileRecord::kBlockBytes;

// Bytes in memory that record which of them were read.
struct Reads {
  Mutex mutex;
  std::vector<std::pair<uint64_t, uint64_t>> all ABSL_GUARDED_BY(mutex);  // offset, bytes

  std::vector<std::pair<uint64_t, uint64_t>> Take() {
    MutexLock lock(&mutex);
    return std::exchange(all, {});
  }
};

class CountingSource final : public ByteSource {
 public:
  CountingSource(const std::vector<std::byte>* bytes, Reads* reads) : bytes_(bytes), reads_(reads) {}
  const std::string& path() const override { return path_; }
  uint64_t size() const override { return bytes_->size(); }
  absl::Status ReadAt(uint64_t offset, absl::Span<std::byte> out) const override {
    std::copy_n(bytes_->begin() + static_cast<int64_t>(offset), out.size(), out.begin());
    MutexLock lock(&reads_->mutex);
    reads_->all.emplace_back(offset, out.size());
    return absl::OkStatus();
  }

 private:
  const std::string path_ = "/run/part";
  const std::vector<std::byte>* const bytes_;
  Reads* const reads_;
};

FileRecord RecordOf(absl::Span<const std::byte> bytes) {
  FileRecord record{"part", bytes.size(), Crc32c(bytes), {}};
  for (uint64_t offset = 0; offset < bytes.size(); offset += kBlock) {
    record.block_crc32c.push_back(Crc32c(bytes.subspan(offset, kBlock)));
  }
  return record;
}

class CheckedFileTest : public ::testing::Test {
 protected:
  void SetUp() override { Fill(9 * kBlock + 1000); }

  void Fill(uint64_t size) {
    std::mt19937_64 random(1);
    bytes_.resize(size);
    for (std::byte& byte : bytes_) byte = static_cast<std::byte>(random());
    file_ = *CheckedFile::Create(std::make_unique<CountingSource>(&bytes_, &reads_), RecordOf(bytes_));
  }

  void ExpectRead(uint64_t offset, uint64_t size) {
    std::vector<std::byte> out(size);
    const absl::Status status = file_->ReadAt(offset, absl::MakeSpan(out));
    ASSERT_TRUE(status.ok()) << status;
    ASSERT_TRUE(std::equal(out.begin(), out.end(), bytes_.begin() + static_cast<int64_t>(offset)))
        << size << " bytes at " << offset;
  }

  std::vector<std::byte> bytes_;
  Reads reads_;
  std::unique_ptr<CheckedFile> file_;
};

TEST_F(CheckedFileTest, OnlyBlocksThatHoldWhatIsWantedAreRead) {
  ExpectRead(3 * kBlock + 10, 20);
  EXPECT_THAT(reads_.Take(), ElementsAre(std::pair(3 * kBlock, kBlock)));
  ExpectRead(9 * kBlock + 5, 10);  // part of the last block, which is shorter
  EXPECT_THAT(reads_.Take(), ElementsAre(std::pair(9 * kBlock, 1000)));
  ExpectRead(7 * kBlock - 1, 2);
  EXPECT_THAT(reads_.Take(), ElementsAre(std::pair(6 * kBlock, kBlock), std::pair(7 * kBlock, kBlock)));
  ExpectRead(5, 0);
  EXPECT_THAT(reads_.Take(), IsEmpty());
}

TEST_F(CheckedFileTest, WholeBlocksAreReadManyAtOnce) {
  ExpectRead(0, bytes_.size());
  EXPECT_THAT(reads_.Take(), ElementsAre(std::pair(0, 8 * kBlock), std::pair(8 * kBlock, kBlock + 1000)));
  ExpectRead(kBlock - 1, 4 * kBlock);  // a byte of the first, three whole ones, all but a byte of the last
  EXPECT_THAT(reads_.Take(),
              ElementsAre(std::pair(0, kBlock), std::pair(kBlock, 3 * kBlock), std::pair(4 * kBlock, kBlock)));
}

TEST_F(CheckedFileTest, ReadingPieceByPieceReadsNoBlockTwice) {
  for (const uint64_t piece : {uint64_t{10000}, kBlock / 3, kBlock, kBlock + 12345, 3 * kBlock + 1}) {
    Fill(bytes_.size());
    ExpectRead(0, 88);  // such as a header
    for (uint64_t offset = 88; offset < bytes_.size(); offset += piece) {
      ExpectRead(offset, std::min(piece, bytes_.size() - offset));
    }
    uint64_t read = 0;
    for (const auto& [offset, size] : reads_.Take()) read += size;
    EXPECT_EQ(read, bytes_.size()) << piece;
  }
}

TEST_F(CheckedFileTest, FourTensorsMayBeReadInTurns) {
  constexpr uint64_t kRow = 2000;
  for (uint64_t offset = 0; offset + kRow <= 2 * kBlock; offset += kRow) {
    for (uint64_t tensor = 0; tensor < 4; ++tensor) ExpectRead(tensor * 2 * kBlock + 77 + offset, kRow);
  }
  uint64_t read = 0;
  for (const auto& [offset, size] : reads_.Take()) read += size;
  EXPECT_LE(read, bytes_.size() + 3 * kBlock) << "where one ends another begins";
}

TEST_F(CheckedFileTest, ADamagedBlockIsRefusedAndTheOthersAreRead) {
  for (const uint64_t position : {2 * kBlock, 2 * kBlock + 77, 3 * kBlock - 1, bytes_.size() - 1}) {
    Fill(bytes_.size());
    bytes_[position] ^= std::byte{4};
    const uint64_t begin = position / kBlock * kBlock;
    const uint64_t end = std::min(begin + kBlock, bytes_.size());
    std::vector<std::byte> out(end - begin);
    for (const auto& [offset, size] : {std::pair(begin, end - begin), std::pair(begin, uint64_t{1}),
                                       std::pair(end - 1, uint64_t{1}), std::pair(begin + 1, end - begin - 1)}) {
      const absl::Status status = file_->ReadAt(offset, absl::MakeSpan(out).first(size));
      EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
      EXPECT_THAT(std::string(status.message()), HasSubstr("/run/part: is damaged"));
    }
    std::vector<std::byte> all(bytes_.size());
    EXPECT_EQ(file_->ReadAt(0, absl::MakeSpan(all)).code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(file_->Verify().code(), absl::StatusCode::kDataLoss);
    ExpectRead(0, begin);
    ExpectRead(end, bytes_.size() - end);
  }
}

TEST_F(CheckedFileTest, TheWholeIsCheckedToo) {
  EXPECT_EQ(file_->Verify(), absl::OkStatus());
  FileRecord record = RecordOf(bytes_);
  ++record.crc32c;
  const auto other = CheckedFile::Create(std::make_unique<CountingSource>(&bytes_, &reads_), record);
  EXPECT_EQ((*other)->Verify().code(), absl::StatusCode::kDataLoss);
  ++record.bytes;
  EXPECT_EQ(CheckedFile::Create(std::make_unique<CountingSource>(&bytes_, &reads_), record).status().code(),
            absl::StatusCode::kDataLoss);
}

TEST_F(CheckedFileTest, WhatIsPastTheEndIsRefused) {
  std::vector<std::byte> out(2);
  EXPECT_EQ(file_->ReadAt(bytes_.size() - 1, absl::MakeSpan(out)).code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(file_->ReadAt(~uint64_t{0}, absl::MakeSpan(out)).code(), absl::StatusCode::kDataLoss);
  Fill(0);
  EXPECT_EQ(file_->Verify(), absl::OkStatus());
  EXPECT_TRUE(file_->ReadAt(0, {}).ok());
  Fill(3 * kBlock);
  ExpectRead(0, 3 * kBlock);
  ExpectRead(3 * kBlock, 0);
}

TEST_F(CheckedFileTest, ManyThreadsReadAtOnce) {
  std::vector<std::thread> threads;
  for (uint64_t seed = 0; seed < 4; ++seed) {
    threads.emplace_back([this, seed] {
      std::mt19937_64 random(seed);
      for (int i = 0; i < 25; ++i) {
        const uint64_t offset = random() % bytes_.size();
        ExpectRead(offset, std::min(bytes_.size() - offset, random() % (2 * kBlock)));
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace arcshard
