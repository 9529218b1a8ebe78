#include "common/checkpoint/part_writer.h"

#include <random>
#include <string>
#include <vector>

#include "common/checkpoint/checked_file.h"
#include "common/io/testing/faulty_file_system.h"
#include "common/io/testing/memory_file_system.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kName[] = "part.safetensors";

absl::Span<const std::byte> BytesOf(const std::vector<uint8_t>& values) {
  return absl::MakeConstSpan(reinterpret_cast<const std::byte*>(values.data()), values.size());
}

std::vector<uint8_t> Random(size_t size) {
  std::mt19937 random(1);
  std::vector<uint8_t> values(size);
  for (uint8_t& value : values) value = static_cast<uint8_t>(random());
  return values;
}

TEST(PartWriterTest, TheRecordIsThatOfTheBytesWhateverThePieces) {
  const std::vector<uint8_t> values = Random(10 * FileRecord::kBlockBytes + 321);
  const int64_t size = static_cast<int64_t>(values.size());
  FileRecord first;
  for (const size_t piece : {size_t{99999}, size_t{FileRecord::kBlockBytes}, values.size()}) {
    MemoryFileSystem disk;
    auto writer = PartWriter::Create(&disk, "/run/step", kName, {{"a", TensorDtype::kU8, {size}}}, {{"key", "value"}});
    ASSERT_TRUE(writer.ok()) << writer.status();
    for (size_t done = 0; done < values.size(); done += piece) {
      ASSERT_EQ((*writer)->Append("a", TensorDtype::kU8, BytesOf(values).subspan(done, piece)), absl::OkStatus());
    }
    const auto record = (*writer)->Finish();
    ASSERT_TRUE(record.ok()) << record.status();
    EXPECT_EQ(record->name, kName);
    EXPECT_EQ(record->block_crc32c.size(), 11u);
    const auto file = CheckedFile::Create(*disk.Open("/run/step/part.safetensors"), *record);
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_EQ((*file)->Verify(), absl::OkStatus());
    if (first.name.empty()) first = *record;
    EXPECT_EQ(*record, first);
    disk.CutPower({});
    const auto read = SafetensorsFile::Open(*disk.Open("/run/step/part.safetensors"));
    ASSERT_TRUE(read.ok()) << "it was durable: " << read.status();
    EXPECT_EQ(*read->Read<uint8_t>("a"), values);
    EXPECT_EQ(read->metadata().at("key"), "value");
  }
}

TEST(PartWriterTest, AnErrorIsForGood) {
  MemoryFileSystem disk;
  FaultyFileSystem faulty(&disk, FaultKind::kShortWrite, 3);  // after the folder, the file, the header
  auto writer = PartWriter::Create(&faulty, "/run", kName, {{"a", TensorDtype::kU8, {4}}}, {});
  ASSERT_TRUE(writer.ok()) << writer.status();
  const std::vector<uint8_t> values = {1, 2, 3, 4};
  const absl::Status status = (*writer)->Append("a", TensorDtype::kU8, BytesOf(values));
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(status.message()), HasSubstr("/run/part.safetensors"));
  EXPECT_EQ((*writer)->Append("a", TensorDtype::kU8, BytesOf(values)), status) << "half of it is there already";
  EXPECT_EQ((*writer)->Finish().status(), status);
  writer->reset();
  EXPECT_THAT(*disk.List("/run"), IsEmpty());
}

TEST(PartWriterTest, WhatDoesNotFitTheDeclarationIsRefused) {
  MemoryFileSystem disk;
  const std::vector<uint8_t> values = {1, 2, 3, 4};
  {
    auto writer = PartWriter::Create(&disk, "/run", kName, {{"a", TensorDtype::kU8, {5}}}, {});
    EXPECT_EQ((*writer)->Append("a", TensorDtype::kU8, BytesOf(values)), absl::OkStatus());
    EXPECT_EQ((*writer)->Finish().status().code(), absl::StatusCode::kFailedPrecondition);
  }
  {
    auto writer = PartWriter::Create(&disk, "/run", kName, {{"a", TensorDtype::kU8, {4}}}, {});
    EXPECT_EQ((*writer)->Append("b", TensorDtype::kU8, BytesOf(values)).code(), absl::StatusCode::kInvalidArgument);
  }
  EXPECT_EQ(PartWriter::Create(&disk, "/run", kName, {{"a", TensorDtype::kU8, {-1}}}, {}).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(*disk.List("/run"), IsEmpty());
}

}  // namespace
}  // namespace arcshard
