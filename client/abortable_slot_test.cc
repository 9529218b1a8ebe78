#include "client/abortable_slot.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::client {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

// Held by the slot: records each abort, and checks that it is not used after its destruction.
class Connections {
 public:
  explicit Connections(std::vector<std::string>* aborted = nullptr) : aborted_(aborted) {}
  ~Connections() { alive_ = false; }
  void Abort(const absl::Status& status) {
    EXPECT_TRUE(alive_);
    if (aborted_ != nullptr) aborted_->push_back(std::string(status.message()));
    was_aborted_ = true;
  }
  bool was_aborted() const { return was_aborted_; }

 private:
  std::vector<std::string>* const aborted_;
  bool alive_ = true;
  std::atomic<bool> was_aborted_ = false;
};

TEST(AbortableSlotTest, AbortReachesWhatIsHeldAndNotWhatWasReplaced) {
  std::vector<std::string> first, second;
  AbortableSlot<Connections> slot;
  slot.Install(std::make_unique<Connections>(&first));
  slot.Install(std::make_unique<Connections>(&second));
  slot.Abort(absl::AbortedError("shard 1 died"));
  EXPECT_THAT(first, IsEmpty());
  EXPECT_THAT(second, ElementsAre("shard 1 died"));
}

TEST(AbortableSlotTest, WhatIsHeldCanBeUsedWhereTheOwnerDoesNotReplaceItMeanwhile) {
  AbortableSlot<Connections> slot;
  int used = 0;
  slot.With([&used](Connections&) { ++used; });
  EXPECT_EQ(used, 0);
  slot.Install(std::make_unique<Connections>());
  slot.With([&used](Connections& held) {
    ++used;
    EXPECT_FALSE(held.was_aborted());
  });
  EXPECT_EQ(used, 1);
}

TEST(AbortableSlotTest, AnAbortWhileNothingIsHeldReachesWhatIsInstalledLater) {
  std::vector<std::string> aborted;
  AbortableSlot<Connections> slot;
  slot.Install(std::make_unique<Connections>());
  slot.Clear();  // as between two views
  slot.Abort(absl::AbortedError("the first reason"));
  slot.Abort(absl::AbortedError("a later one"));
  EXPECT_TRUE(slot.Install(std::make_unique<Connections>(&aborted))->was_aborted());
  EXPECT_THAT(aborted, ElementsAre("the first reason"));
}

// The coordinator's stream may end, on a gRPC thread, at any moment while the training loop changes from one view's
// connections to the next's. Under ThreadSanitizer this is a check of the lock.
TEST(AbortableSlotTest, AnAbortDuringAReplacementReachesTheLastOneWhateverTheOrder) {
  for (int round = 0; round < 200; ++round) {
    AbortableSlot<Connections> slot;
    slot.Install(std::make_unique<Connections>());
    std::thread stream([&slot] { slot.Abort(absl::AbortedError("over")); });
    Connections* last = nullptr;
    for (int view = 0; view < 5; ++view) {
      slot.Clear();
      last = slot.Install(std::make_unique<Connections>());
    }
    stream.join();
    EXPECT_TRUE(last->was_aborted());
  }
}

TEST(AbortableSlotTest, AnInterruptionReachesWhatIsHeldWhileItLastsAndNotWhatIsMadeForIt) {
  bool queued = false;
  std::vector<std::string> first, second;
  AbortableSlot<Connections> slot(
      [&queued] { return queued ? absl::CancelledError("view 2 is queued") : absl::OkStatus(); });
  slot.Install(std::make_unique<Connections>(&first));
  slot.Recheck();
  EXPECT_THAT(first, IsEmpty());
  queued = true;
  slot.Recheck();
  EXPECT_THAT(first, ElementsAre("view 2 is queued"));
  queued = false;  // the owner takes the view
  slot.Clear();
  slot.Recheck();  // a notice of the view that comes late
  slot.Install(std::make_unique<Connections>(&second));
  slot.Recheck();
  EXPECT_THAT(second, IsEmpty());
}

TEST(AbortableSlotTest, AnInterruptionBeforeTheInstallationReachesWhatIsInstalled) {
  bool queued = true;
  std::vector<std::string> aborted;
  AbortableSlot<Connections> slot(
      [&queued] { return queued ? absl::CancelledError("view 3 is queued") : absl::OkStatus(); });
  slot.Recheck();
  slot.Install(std::make_unique<Connections>(&aborted));
  EXPECT_THAT(aborted, ElementsAre("view 3 is queued"));
}

TEST(AbortableSlotTest, TheEndComesBeforeAnInterruption) {
  std::vector<std::string> aborted;
  AbortableSlot<Connections> slot([] { return absl::CancelledError("view 3 is queued"); });
  slot.Abort(absl::AbortedError("over"));
  slot.Install(std::make_unique<Connections>(&aborted));
  EXPECT_THAT(aborted, ElementsAre("over"));
}

// A view may be queued at any moment while the training loop changes from one view's connections to the next's: those
// of the last view that the loop takes are never aborted, since no further one is queued. Under ThreadSanitizer this is
// a check of the locks.
TEST(AbortableSlotTest, ViewsThatAreQueuedDuringReplacementsAbortEveryViewButTheLast) {
  for (int round = 0; round < 50; ++round) {
    std::atomic<int> announced = 1, taken = 1;
    AbortableSlot<Connections> slot(
        [&] { return announced > taken ? absl::CancelledError("another view is queued") : absl::OkStatus(); });
    std::thread coordinator([&] {
      for (int view = 2; view <= 5; ++view) {
        ++announced;
        slot.Recheck();
      }
    });
    Connections* held = slot.Install(std::make_unique<Connections>());
    while (taken < 5) {
      while (!held->was_aborted()) std::this_thread::yield();
      ++taken;
      slot.Clear();
      held = slot.Install(std::make_unique<Connections>());
    }
    coordinator.join();
    slot.Recheck();
    EXPECT_FALSE(held->was_aborted());
  }
}

}  // namespace
}  // namespace arcshard::client
