#include "shard_server/checkpoint/restore_rows.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "common/checkpoint/checkpoint_folder.h"
#include "common/io/testing/memory_file_system.h"
#include "shard_server/checkpoint/class_map.h"
#include "shard_server/checkpoint/shard_checkpointer.h"
#include "shard_server/checkpoint/testing/checkpoint_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr View kView{2, 1};
constexpr uint64_t kStep = 17;
constexpr StatePoint kState{kStep, 0xABCD};
constexpr int64_t kClasses = 60;
constexpr int64_t kDim = 10;

head::HeadOptions Sgd() {
  head::HeadOptions options;
  options.num_classes = kClasses;
  options.dim = kDim;
  return options;
}
head::HeadOptions AdamWInBfloat16() {
  head::HeadOptions options = Sgd();
  options.optimizer = head::AdamWOptions();
  options.weights = options.moments = head::DataType::kBfloat16;
  options.sample_rate = 0.3;
  return options;
}

class RestoreRowsTest : public testing::Test {
 protected:
  // A checkpoint of heads that trained for some steps on `shards` shards.
  std::unique_ptr<TrainedHeads> Checkpoint(const head::HeadOptions& options, int shards) {
    const std::vector<ClassRange> ranges = head::UnevenRanges(options.num_classes, shards);
    auto heads = std::make_unique<TrainedHeads>(options, ranges);
    for (int step = 0; step < 3; ++step) heads->Step();
    Manifest manifest;
    manifest.step = kState.step;
    manifest.lineage = kState.lineage;
    manifest.incarnation = kView.incarnation;
    manifest.num_classes = options.num_classes;
    manifest.embedding_size = options.dim;
    for (int shard = 0; shard < shards; ++shard) {
      ShardCheckpointer checkpointer({"/run", 1}, heads->head(static_cast<size_t>(shard)), &disk_, &metrics_, &clock_,
                                     [&](const CheckpointReport& report) {
                                       EXPECT_TRUE(report.status.ok()) << report.status;
                                       manifest.files.insert(manifest.files.end(), report.files.begin(),
                                                             report.files.end());
                                     });
      checkpointer.Begin(kView, kStep);
      checkpointer.Await();
    }
    std::sort(manifest.files.begin(), manifest.files.end(),
              [](const FileRecord& a, const FileRecord& b) { return a.name < b.name; });
    const absl::Status status = WriteManifest(&disk_, folder_, manifest);
    EXPECT_TRUE(status.ok()) << status;
    return heads;
  }
  absl::Status Restore(const head::HeadOptions& options, int shards, std::unique_ptr<TrainedHeads>* heads) {
    *heads = std::make_unique<TrainedHeads>(options, head::UnevenRanges(options.num_classes, shards));
    absl::Status status;
    for (int shard = 0; shard < shards; ++shard) {
      status.Update(RestoreRows(&disk_, folder_, kState, (*heads)->head(static_cast<size_t>(shard))));
    }
    return status;
  }
  std::string Error(const head::HeadOptions& options, absl::StatusCode code, const StatePoint& point = kState) {
    head::HeadOptions own = options;
    own.range = {0, own.num_classes};
    const absl::Status status = RestoreRows(&disk_, folder_, point, head::Head::Create(own, 1 << 30)->get());
    EXPECT_EQ(status.code(), code) << status;
    return std::string(status.message());
  }
  // A run of `classes` classes that starts from the checkpoint.
  absl::StatusOr<head::HeadState> Init(const head::HeadOptions& options, const RunConfig::InitFrom& init_from) {
    TrainedHeads heads(options, head::UnevenRanges(options.num_classes, 2));
    for (const size_t shard : {0, 1}) {
      if (absl::Status status = InitRows(&disk_, init_from, heads.head(shard)); !status.ok()) return status;
    }
    return heads.State();
  }
  RunConfig::InitFrom FromCheckpoint() const {
    RunConfig::InitFrom init_from;
    init_from.checkpoint = folder_;
    return init_from;
  }

  MemoryFileSystem disk_;
  MetricRegistry registry_;
  ShardMetrics metrics_{&registry_};
  SystemClock clock_;
  const std::string folder_ = CheckpointFolder("/run", {kStep, kView.incarnation});
};

std::vector<float> RowOf(const std::vector<float>& values, int64_t j) {
  return {values.begin() + j * kDim, values.begin() + (j + 1) * kDim};
}

TEST_F(RestoreRowsTest, AnyNumberOfShardsHoldsWhatAnyOtherWrote) {
  for (const head::HeadOptions& options : {Sgd(), AdamWInBfloat16()}) {
    for (const auto& [from, to] : {std::pair{3, 2}, {3, 5}, {1, 3}, {2, 2}}) {
      ASSERT_TRUE(disk_.CreateFolders(folder_).ok());
      const auto written = Checkpoint(options, from);
      std::unique_ptr<TrainedHeads> restored;
      const absl::Status status = Restore(options, to, &restored);
      ASSERT_TRUE(status.ok()) << status;
      EXPECT_TRUE(restored->State() == written->State()) << from << " shards to " << to;
      ASSERT_TRUE(RemoveCheckpoint(&disk_, folder_).ok());
    }
  }
}

TEST_F(RestoreRowsTest, NothingIsLeftOfWhatAHeadHeldBefore) {
  for (const head::HeadOptions& options : {Sgd(), AdamWInBfloat16()}) {
    const auto written = Checkpoint(options, 2);
    TrainedHeads used(options, {{0, kClasses}});
    for (int step = 0; step < 5; ++step) used.Step();
    ASSERT_FALSE(used.State() == written->State());
    const absl::Status status = RestoreRows(&disk_, folder_, kState, used.head());
    ASSERT_TRUE(status.ok()) << status;
    EXPECT_TRUE(used.State() == written->State());
    ASSERT_TRUE(RemoveCheckpoint(&disk_, folder_).ok());
  }
}

TEST_F(RestoreRowsTest, ACheckpointOfAnotherRunIsRefusedByName) {
  Checkpoint(Sgd(), 2);
  EXPECT_EQ(Error(Sgd(), absl::StatusCode::kFailedPrecondition, {kStep + 1, kState.lineage}),
            folder_ + ": is of step 17, but the run continues after step 18");
  EXPECT_EQ(Error(Sgd(), absl::StatusCode::kFailedPrecondition, {kStep, 0xABCE}),
            folder_ + ": has the lineage abcd, but the run continues from abce");
  head::HeadOptions more = Sgd();
  more.num_classes = kClasses + 1;
  EXPECT_EQ(Error(more, absl::StatusCode::kInvalidArgument), folder_ + ": has 60 classes, this run has 61");
  head::HeadOptions wider = Sgd();
  wider.dim = kDim + 1;
  EXPECT_THAT(Error(wider, absl::StatusCode::kInvalidArgument),
              HasSubstr(folder_ + ": its class centers have 10 dimensions, those of this run have 11"));
  head::HeadOptions adamw = Sgd();
  adamw.optimizer = head::AdamWOptions();
  EXPECT_THAT(Error(adamw, absl::StatusCode::kInvalidArgument),
              HasSubstr("for its class centers it holds the moments of SGD, but this run needs the moments of AdamW "
                        "(optimizer.kind)"));
}

TEST_F(RestoreRowsTest, AFolderWithoutACheckpointIsNotFoundAndADamagedOneIsNamed) {
  EXPECT_THAT(Error(Sgd(), absl::StatusCode::kNotFound), HasSubstr(folder_));
  Checkpoint(Sgd(), 1);
  const std::string path = folder_ + "/class_centers-0-60.safetensors";
  std::string bytes = disk_.Contents(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  disk_.SetContents(path, bytes);
  EXPECT_THAT(Error(Sgd(), absl::StatusCode::kDataLoss), HasSubstr(path));
}

TEST_F(RestoreRowsTest, ANewRunTakesTheClassCentersThatThereAreAndDrawsTheOthers) {
  const head::HeadState old = Checkpoint(Sgd(), 3)->State();
  head::HeadOptions options = Sgd();
  options.num_classes = kClasses + 7;
  const head::HeadState drawn = TrainedHeads(options, {{0, options.num_classes}}).State();
  const auto state = Init(options, FromCheckpoint());
  ASSERT_TRUE(state.ok()) << state.status();
  for (int64_t j = 0; j < options.num_classes; ++j) {
    EXPECT_EQ(RowOf(state->weights, j), RowOf(j < kClasses ? old.weights : drawn.weights, j)) << j;
  }
  EXPECT_EQ(state->moments, drawn.moments) << "they begin at 0";

  options.num_classes = kClasses - 7;
  const auto fewer = Init(options, FromCheckpoint());
  ASSERT_TRUE(fewer.ok()) << fewer.status();
  EXPECT_EQ(RowOf(fewer->weights, kClasses - 8), RowOf(old.weights, kClasses - 8));
}

TEST_F(RestoreRowsTest, ANewRunTakesMomentsWhereItAsksForThem) {
  const head::HeadState old = Checkpoint(AdamWInBfloat16(), 2)->State();
  RunConfig::InitFrom init_from = FromCheckpoint();
  init_from.moments = true;
  const auto state = Init(AdamWInBfloat16(), init_from);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_TRUE(*state == old);
  EXPECT_THAT(std::string(Init(Sgd(), init_from).status().message()),
              HasSubstr("it holds the moments of AdamW, but this run needs the moments of SGD"));
  init_from.moments = false;
  EXPECT_TRUE(Init(Sgd(), init_from).ok());
}

TEST_F(RestoreRowsTest, WhereOnlyTheBackboneIsTakenCentersStayAsDrawn) {
  Checkpoint(Sgd(), 2);
  RunConfig::InitFrom init_from = FromCheckpoint();
  init_from.parts = "backbone";
  const auto state = Init(Sgd(), init_from);
  ASSERT_TRUE(state.ok()) << state.status();
  EXPECT_TRUE(*state == TrainedHeads(Sgd(), {{0, kClasses}}).State());
}

class ClassMapTest : public RestoreRowsTest {
 protected:
  void SetUp() override { path_ = absl::StrCat(testing::TempDir(), "/class_map_test_", ::getpid()); }
  void TearDown() override { std::filesystem::remove(path_); }

  absl::StatusOr<std::vector<int64_t>> Read(const std::string& text, ClassRange range = {0, 3}) {
    std::ofstream(path_) << text;
    return ReadClassMap(path_, 3, 10, range);
  }
  std::string Error(const std::string& text) {
    const auto map = Read(text);
    EXPECT_EQ(map.status().code(), absl::StatusCode::kInvalidArgument) << map.status();
    return std::string(map.status().message());
  }

  std::string path_;
};

TEST_F(ClassMapTest, SaysOfEachClassOfARangeWhatItWas) {
  EXPECT_THAT(*Read("7\nnew\n 0\r\n"), ElementsAre(7, kNewClass, 0));
  EXPECT_THAT(*Read("7\nnew\n0"), ElementsAre(7, kNewClass, 0));
  EXPECT_THAT(*Read("7\nnew\n0\n", {1, 2}), ElementsAre(kNewClass));
  EXPECT_THAT(*Read("7\nnew\n0\n", {3, 3}), ElementsAre());
}

TEST_F(ClassMapTest, WhatIsNoClassIsRefusedByLine) {
  EXPECT_THAT(Error("7\n10\n0\n"),
              HasSubstr(absl::StrCat(path_, ":2: '10' is neither new nor a number of the checkpoint's 10 classes")));
  EXPECT_THAT(Error("7\n-1\n0\n"), HasSubstr(":2: '-1'"));
  EXPECT_THAT(Error("7\n\n0\n"), HasSubstr(":2: ''"));
  EXPECT_THAT(Error("7\n1 2\n0\n"), HasSubstr(":2: '1 2'"));
  EXPECT_THAT(Error("7\n1\n"), HasSubstr("has 2 lines, but this run has 3 classes"));
  EXPECT_THAT(Error("7\n1\n0\n4\n"), HasSubstr(":4: is one line more than this run has classes"));
  EXPECT_EQ(ReadClassMap("/nowhere/classes.txt", 3, 10, {0, 3}).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(ClassMapTest, ANewRunTakesTheClassesThatItNames) {
  const head::HeadState old = Checkpoint(Sgd(), 3)->State();
  head::HeadOptions options = Sgd();
  options.num_classes = 8;
  const int64_t map[] = {20, 21, 22, kNewClass, 59, 0, kNewClass, 20};
  {
    std::ofstream file(path_);
    for (const int64_t j : map) file << (j == kNewClass ? "new" : absl::StrCat(j)) << "\n";
  }
  const head::HeadState drawn = TrainedHeads(options, {{0, 8}}).State();
  RunConfig::InitFrom init_from = FromCheckpoint();
  init_from.classes = path_;
  const auto state = Init(options, init_from);
  ASSERT_TRUE(state.ok()) << state.status();
  for (int64_t j = 0; j < 8; ++j) {
    EXPECT_EQ(RowOf(state->weights, j), map[j] == kNewClass ? RowOf(drawn.weights, j) : RowOf(old.weights, map[j]))
        << j;
  }
}

}  // namespace
}  // namespace arcshard::shard
