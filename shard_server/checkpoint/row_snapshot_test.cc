#include "shard_server/checkpoint/row_snapshot.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>
#include <tuple>

#include "shard_server/checkpoint/testing/checkpoint_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;

constexpr int64_t kClasses = 7000;
constexpr int64_t kOnePiece = 1;  // bytes; there is always room for one piece

head::HeadOptions Options(int64_t dim = 128) {  // 2048 rows in a piece
  head::HeadOptions options;
  options.num_classes = kClasses;
  options.range = {0, kClasses};
  options.dim = dim;
  options.threads = 3;
  return options;
}
head::HeadOptions InBfloat16() {
  head::HeadOptions options = Options();
  options.compute = options.weights = options.moments = head::DataType::kBfloat16;
  return options;
}
head::HeadOptions AdamW() {
  head::HeadOptions options = Options();
  options.optimizer = head::AdamWOptions();
  options.moments = head::DataType::kBfloat16;
  return options;
}
head::HeadOptions Sampled() {
  head::HeadOptions options = AdamW();
  options.sample_rate = 0.02;
  return options;
}
head::HeadOptions NarrowCentersOfAnOddWidth() {
  head::HeadOptions options = Options(127);
  options.weights = head::DataType::kBfloat16;
  return options;
}

// Threads that Await the flag block until one has Set it.
class Flag {
 public:
  void Set() {
    MutexLock lock(&mutex_);
    set_ = true;
    changed_.NotifyAll();
  }
  void Await() {
    MutexLock lock(&mutex_);
    while (!set_) changed_.Wait(&mutex_);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool set_ ABSL_GUARDED_BY(mutex_) = false;
};

// Advances a second each time it is read. A snapshot reads the clock when an update is about to wait and afterwards.
class WaitClock final : public Clock {
 public:
  MonotonicTime Now() const override {
    MutexLock lock(&mutex_);
    ++asked_;
    waits.Set();
    return MonotonicTime() + asked_ * absl::Seconds(1);
  }
  absl::Time WallTime() const override { return absl::UnixEpoch(); }

  mutable Flag waits;

 private:
  mutable Mutex mutex_;
  mutable int asked_ ABSL_GUARDED_BY(mutex_) = 0;
};

class RowSnapshotTest : public testing::Test {
 protected:
  void Make(const head::HeadOptions& options, int64_t buffer_bytes) {
    heads_ = std::make_unique<TrainedHeads>(options, std::vector<ClassRange>{options.range});
    snapshot_ = std::make_unique<RowSnapshot>(heads_->head(), buffer_bytes, &clock_);
    heads_->head()->Observe(snapshot_.get());
    heads_->Step();
  }
  // Writes on a thread of its own; calls `at_first` with the first piece.
  void StartToWrite(std::function<absl::Status()> at_first = [] { return absl::OkStatus(); }) {
    written_.clear();
    ASSERT_TRUE(snapshot_->Begin().ok());
    writer_ = std::thread([this, at_first = std::move(at_first)] {
      bool first = true;
      result_ = snapshot_->Write([&](head::RowPart part, absl::Span<const std::byte> bytes) {
        absl::Status status = first ? at_first() : absl::OkStatus();
        first = false;
        written_[part].insert(written_[part].end(), bytes.begin(), bytes.end());
        return status;
      });
    });
  }
  absl::Status Result() {
    writer_.join();
    return result_;
  }

  WaitClock clock_;
  std::unique_ptr<TrainedHeads> heads_;
  std::unique_ptr<RowSnapshot> snapshot_;
  std::thread writer_;
  absl::Status result_;
  HeldRows written_;
};

struct NamedOptions {
  std::string name;
  head::HeadOptions options;
};

class RowSnapshotOfTest : public RowSnapshotTest, public testing::WithParamInterface<NamedOptions> {};

TEST_P(RowSnapshotOfTest, WhatIsWrittenWhileUpdatesGoOnIsTheStateAtItsBeginning) {
  for (const int64_t buffer_bytes : {kOnePiece, int64_t{3} << 20, int64_t{1} << 30}) {
    Make(GetParam().options, buffer_bytes);
    for (int checkpoint = 0; checkpoint < 2; ++checkpoint) {
      const HeldRows before = RowsHeldBy(*heads_->head());
      StartToWrite();
      for (int step = 0; step < 3; ++step) heads_->Step();
      ASSERT_TRUE(Result().ok()) << result_;
      EXPECT_TRUE(written_ == before) << "checkpoint " << checkpoint << " with " << buffer_bytes << " bytes for copies";
      EXPECT_FALSE(RowsHeldBy(*heads_->head()) == before);
    }
    heads_->head()->Observe(nullptr);
  }
}

// The writer gets no further than its first piece before the update has ended.
TEST_P(RowSnapshotOfTest, WithRoomForAllRowsAnUpdateDoesNotWaitForTheDisk) {
  Make(GetParam().options, int64_t{1} << 30);
  const HeldRows before = RowsHeldBy(*heads_->head());
  Flag begun, updated;
  StartToWrite([&] {
    begun.Set();
    updated.Await();
    return absl::OkStatus();
  });
  begun.Await();
  heads_->Step();
  EXPECT_EQ(snapshot_->waited(), absl::ZeroDuration());
  updated.Set();
  ASSERT_TRUE(Result().ok()) << result_;
  EXPECT_TRUE(written_ == before);
}

std::string NameOf(const testing::TestParamInfo<NamedOptions>& head) { return head.param.name; }

INSTANTIATE_TEST_SUITE_P(Heads, RowSnapshotOfTest,
                         testing::Values(NamedOptions{"Float32", Options()}, NamedOptions{"Bfloat16", InBfloat16()},
                                         NamedOptions{"AdamW", AdamW()}, NamedOptions{"Sampled", Sampled()},
                                         NamedOptions{"OddWidth", NarrowCentersOfAnOddWidth()}),
                         NameOf);

TEST_F(RowSnapshotTest, WithoutRoomAnUpdateWaitsForTheWriter) {
  Make(Options(), kOnePiece);
  const HeldRows before = RowsHeldBy(*heads_->head());
  StartToWrite([&] {
    clock_.waits.Await();
    return absl::OkStatus();
  });
  heads_->Step();
  ASSERT_TRUE(Result().ok()) << result_;
  EXPECT_TRUE(written_ == before);
  EXPECT_GE(snapshot_->waited(), absl::Seconds(1));
}

TEST_F(RowSnapshotTest, WhenTheWriterFailsUpdatesWaitNoMoreAndTheNextSnapshotIsWhole) {
  Make(Options(), kOnePiece);
  StartToWrite([&] {
    clock_.waits.Await();
    return absl::ResourceExhaustedError("the disk is full");
  });
  heads_->Step();
  heads_->Step();
  EXPECT_EQ(Result(), absl::ResourceExhaustedError("the disk is full"));

  const HeldRows before = RowsHeldBy(*heads_->head());
  StartToWrite();
  heads_->Step();
  ASSERT_TRUE(Result().ok()) << result_;
  EXPECT_TRUE(written_ == before);
}

TEST_F(RowSnapshotTest, WhenItIsAbandonedUpdatesWaitNoMore) {
  Make(Options(), kOnePiece);
  Flag updated;
  StartToWrite([&] {
    updated.Await();
    return absl::OkStatus();
  });
  std::thread abandoner([&] {
    clock_.waits.Await();
    snapshot_->Abandon();
  });
  heads_->Step();
  abandoner.join();
  updated.Set();
  EXPECT_EQ(Result().code(), absl::StatusCode::kCancelled);
}

TEST_F(RowSnapshotTest, BetweenSnapshotsUpdatesAreLeftAlone) {
  Make(Options(), kOnePiece);
  heads_->Step();
  StartToWrite();
  ASSERT_TRUE(Result().ok());
  EXPECT_TRUE(written_ == RowsHeldBy(*heads_->head()));
  heads_->Step();
  EXPECT_EQ(snapshot_->waited(), absl::ZeroDuration());
}

TEST_F(RowSnapshotTest, PartsOfWiderElementsComeFirst) {
  Make(NarrowCentersOfAnOddWidth(), kOnePiece);
  EXPECT_THAT(snapshot_->parts(), ElementsAre(head::RowPart::kMoment0, head::RowPart::kWeights));
  Make(AdamW(), kOnePiece);
  EXPECT_THAT(snapshot_->parts(), ElementsAre(head::RowPart::kWeights, head::RowPart::kCounts, head::RowPart::kMoment0,
                                              head::RowPart::kMoment1));
}

TEST_F(RowSnapshotTest, AnEmptyRangeHasNothingToWrite) {
  head::HeadOptions options = Options();
  TrainedHeads heads(options, {{0, 0}, {0, kClasses}});
  RowSnapshot snapshot(heads.head(0), kOnePiece, &clock_);
  heads.head(0)->Observe(&snapshot);
  ASSERT_TRUE(snapshot.Begin().ok());
  heads.Step();
  EXPECT_TRUE(
      snapshot
          .Write([](head::RowPart, absl::Span<const std::byte>) { return absl::InternalError("nothing was expected"); })
          .ok());
}

}  // namespace
}  // namespace arcshard::shard
