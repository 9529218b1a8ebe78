#include "shard_server/record/record_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "common/io/file.h"
#include "common/io/testing/memory_file_system.h"
#include "common/protocol/lineage.h"
#include "shard_server/record/testing/step_kit.h"

namespace arcshard::shard {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr char kFolder[] = "/run/record";

class RecordFileTest : public ::testing::Test {
 protected:
  RecordFileTest() { EXPECT_TRUE(files_.CreateFolders(kFolder).ok()); }

  static std::string PathOf(const RecordedStep& step) {
    return absl::StrCat(kFolder, "/", RecordName(step.record->after));
  }
  absl::Status ErrorOf(const RecordedStep& step) { return ReadRecord(&files_, kFolder, step.record->after).status(); }

  MemoryFileSystem files_;
};

TEST_F(RecordFileTest, WhatIsWrittenIsReadBitByBit) {
  for (const Outcome outcome : {Outcome::kCommit, Outcome::kSkip}) {
    RecordedStep step = MakeStep({16, 0x123456789abcdef}, outcome);
    auto changed = std::make_shared<ReplayRecord>(*step.record);
    changed->micro_batches[0].embedding[0] = std::numeric_limits<float>::quiet_NaN();
    changed->micro_batches[1].t[0] = -0.0f;
    changed->micro_batches.resize(5);  // buffers of a longer step
    step.record = changed;
    ASSERT_TRUE(WriteRecord(&files_, kFolder, step).ok());
    const auto read = ReadRecord(&files_, kFolder, step.record->after);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(SameStep(*read, step));
  }
}

TEST_F(RecordFileTest, AFileIsNamedAfterTheStateThatItLeadsTo) {
  EXPECT_EQ(RecordFolder("/run"), kFolder);
  const StatePoint point{17, 0x00f3456789abcdef};
  EXPECT_EQ(RecordName(point), "step-00000017-00f3456789abcdef.safetensors");
  EXPECT_EQ(PointOfRecord(RecordName(point)), point);
  EXPECT_EQ(PointOfRecord(RecordName({123'456'789, 1})), (StatePoint{123'456'789, 1}));
  for (const char* other : {"", "step-17.2", "step-00000017.safetensors", "step-17-00f3456789abcdef.safetensors",
                            "step-00000017-0f3456789abcdef.safetensors", "step-00000017-00F3456789ABCDEF.safetensors",
                            "step-00000017-00f3456789abcdef.safetensors.part-1-2"}) {
    EXPECT_EQ(PointOfRecord(other), std::nullopt) << other;
  }
}

TEST_F(RecordFileTest, AFlippedBitAnywhereIsFoundAndTheFileNamed) {
  const RecordedStep step = MakeStep({16, 5}, Outcome::kCommit);
  ASSERT_TRUE(WriteRecord(&files_, kFolder, step).ok());
  const std::string whole = files_.Contents(PathOf(step));
  for (size_t bit = 0; bit < 8 * whole.size(); bit += bit < 800 ? 1 : 7) {
    std::string damaged = whole;
    damaged[bit / 8] = static_cast<char>(damaged[bit / 8] ^ (1 << (bit % 8)));
    files_.SetContents(PathOf(step), damaged);
    const absl::Status status = ErrorOf(step);
    ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << "bit " << bit;
    ASSERT_THAT(std::string(status.message()), AllOf(HasSubstr(PathOf(step)), HasSubstr("is damaged")));
  }
}

TEST_F(RecordFileTest, SoIsAFileThatIsTooShort) {
  const RecordedStep step = MakeStep({16, 5}, Outcome::kCommit);
  ASSERT_TRUE(WriteRecord(&files_, kFolder, step).ok());
  const std::string whole = files_.Contents(PathOf(step));
  for (const size_t bytes : {size_t{0}, size_t{3}, whole.size() / 2, whole.size() - 1}) {
    files_.SetContents(PathOf(step), whole.substr(0, bytes));
    EXPECT_EQ(ErrorOf(step).code(), absl::StatusCode::kDataLoss) << bytes;
  }
}

TEST_F(RecordFileTest, ARecordThatIsNotThereIsNotFound) {
  const RecordedStep step = MakeStep({16, 5}, Outcome::kCommit);
  EXPECT_EQ(ErrorOf(step).code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(ErrorOf(step).message()), HasSubstr(PathOf(step)));
}

// A whole record, with the right checksum, that cannot be.
struct Lie {
  const char* what;  // in the error
  std::function<void(RecordedStep*, ReplayRecord*)> tell;
};

TEST_F(RecordFileTest, ARecordThatContradictsItselfIsRefused) {
  const std::vector<Lie> lies = {
      {"but its decision leads from", [](RecordedStep*, ReplayRecord* record) { record->lr += 0.5; }},
      {"but its decision leads from", [](RecordedStep*, ReplayRecord* record) { record->view.counter += 1; }},
      {"but its decision leads from", [](RecordedStep*, ReplayRecord* record) { record->outcome = Outcome::kSkip; }},
      {"but its decision leads from", [](RecordedStep* step, ReplayRecord*) { step->before.lineage += 1; }},
      {"says that worker 7 computed micro-batch 0",
       [](RecordedStep*, ReplayRecord* record) { record->micro_batches[0].worker = 7; }},
      {"has no workers", [](RecordedStep*, ReplayRecord* record) { record->workers.clear(); }},
      {"has the label 100 of 100",
       [](RecordedStep*, ReplayRecord* record) { record->micro_batches[1].labels[0] = 100; }},
      {"has the label -1", [](RecordedStep*, ReplayRecord* record) { record->micro_batches[1].labels[0] = -1; }},
      {"among its groups", [](RecordedStep*, ReplayRecord* record) { record->groups[0][0] = 9; }},
      {"has groups of", [](RecordedStep*, ReplayRecord* record) { record->groups.pop_back(); }},
      {"of 0 classes", [](RecordedStep* step, ReplayRecord*) { step->range_ends.clear(); }},
  };
  for (const Lie& lie : lies) {
    RecordedStep step = MakeStep({16, 5}, Outcome::kCommit);
    auto changed = std::make_shared<ReplayRecord>(*step.record);
    lie.tell(&step, changed.get());
    step.record = changed;
    ASSERT_TRUE(WriteRecord(&files_, kFolder, step).ok());
    const absl::Status status = ErrorOf(step);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << lie.what;
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(PathOf(step)), HasSubstr(lie.what)));
  }
}

TEST_F(RecordFileTest, ARecordUnderTheNameOfAnotherStateIsRefused) {
  const RecordedStep step = MakeStep({16, 5}, Outcome::kCommit);
  ASSERT_TRUE(WriteRecord(&files_, kFolder, step).ok());
  const StatePoint other{17, step.record->after.lineage + 1};
  const std::string path = absl::StrCat(kFolder, "/", RecordName(other));
  ASSERT_TRUE(files_.Rename(PathOf(step), path).ok());
  const absl::Status status = ReadRecord(&files_, kFolder, other).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr(path), HasSubstr("not what its name says")));
}

}  // namespace
}  // namespace arcshard::shard
