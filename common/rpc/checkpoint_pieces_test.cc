#include "common/rpc/checkpoint_pieces.h"

#include <numeric>
#include <string>
#include <utility>

#include "common/rpc/convert/convert_reports.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::HasSubstr;

FileRecord FileOf(const std::string& name, size_t blocks) {
  FileRecord file{.name = name, .bytes = blocks * FileRecord::kBlockBytes, .crc32c = 7, .block_crc32c = {}};
  file.block_crc32c.resize(blocks);
  std::iota(file.block_crc32c.begin(), file.block_crc32c.end(), 1u);
  return file;
}

CheckpointReport ReportOf(std::vector<FileRecord> files) {
  return {.view = {3, 1}, .step = 17, .files = std::move(files), .took = absl::Seconds(2)};
}

// Sends the report piece by piece.
absl::StatusOr<std::optional<CheckpointReport>> Assembled(const CheckpointReport& report) {
  CheckpointAssembler assembler;
  absl::StatusOr<std::optional<CheckpointReport>> last;
  for (const v1::ParticipantMessage& piece : PiecesOf(report)) {
    EXPECT_LT(piece.ByteSizeLong(), size_t{256} << 10);
    last = assembler.Add(piece.checkpoint());
    EXPECT_TRUE(last.ok()) << last.status();
    EXPECT_EQ(last->has_value(), !piece.checkpoint().more());
  }
  return last;
}

TEST(CheckpointPiecesTest, AReportOfAnySizeComesTogetherAgain) {
  constexpr size_t kPiece = kMostBlocksOfAPiece;
  for (const CheckpointReport& report :
       {ReportOf({}), ReportOf({FileOf("a", 1)}), ReportOf({FileOf("a", 0), FileOf("b", 0)}),
        ReportOf({FileOf("a", kPiece), FileOf("b", 1)}),
        ReportOf({FileOf("a", 3), FileOf("b", 2 * kPiece), FileOf("c", 5)})}) {
    const auto assembled = Assembled(report);
    ASSERT_TRUE(assembled.ok() && assembled->has_value());
    EXPECT_EQ(**assembled, report);
  }
}

TEST(CheckpointPiecesTest, ASmallReportIsOneMessageAsBefore) {
  const CheckpointReport report = ReportOf({FileOf("a", 2)});
  const auto pieces = PiecesOf(report);
  ASSERT_EQ(pieces.size(), 1u);
  EXPECT_EQ(pieces[0].checkpoint().SerializeAsString(), ToProto(report).SerializeAsString());
}

TEST(CheckpointPiecesTest, AFailureIsReportedWithItsCode) {
  CheckpointReport report = ReportOf({});
  report.status = absl::ResourceExhaustedError("the disk is full");
  const auto assembled = Assembled(report);
  ASSERT_TRUE(assembled.ok() && assembled->has_value());
  EXPECT_EQ((*assembled)->status, report.status);
}

TEST(CheckpointPiecesTest, PiecesOfAnotherReportInBetweenAreRefused) {
  const auto pieces = PiecesOf(ReportOf({FileOf("a", kMostBlocksOfAPiece + 1)}));
  CheckpointAssembler assembler;
  ASSERT_TRUE(assembler.Add(pieces[0].checkpoint()).ok());
  v1::CheckpointReport other = pieces[1].checkpoint();
  other.set_step(18);
  const absl::Status status = assembler.Add(other).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(status.message()), HasSubstr("the report of step 17 is incomplete: one of step 18 came"));
}

TEST(CheckpointPiecesTest, WhatNeverEndsIsRefusedBeforeItUsesUpTheMemory) {
  v1::CheckpointReport piece = PiecesOf(ReportOf({FileOf("a", kMostBlocksOfAPiece)}))[0].checkpoint();
  piece.set_more(true);
  CheckpointAssembler assembler;
  absl::Status status;
  size_t pieces = 0;
  for (; status.ok() && pieces < 10'000; ++pieces) status = assembler.Add(piece).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(pieces, kMaxPartBytes / FileRecord::kBlockBytes / kMostBlocksOfAPiece + 1);
  v1::CheckpointReport files;
  files.set_more(true);
  for (int i = 0; i < 40; ++i) files.add_files()->set_name(std::to_string(i));
  CheckpointAssembler another;
  EXPECT_EQ(another.Add(files).status().code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace arcshard
