#include "coordinator/members/stalls.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr Seat kShard0{Role::kShard, 0}, kShard1{Role::kShard, 1}, kShard2{Role::kShard, 2};
constexpr Seat kWorker0{Role::kWorker, 0}, kWorker1{Role::kWorker, 1}, kWorker2{Role::kWorker, 2};
constexpr View kView{7, 3};
constexpr absl::Duration kLimit = absl::Seconds(8);

Waiting ForShards(std::vector<uint32_t> shards) { return {.shards = std::move(shards)}; }
Waiting ForWorkers(std::vector<uint32_t> workers) { return {.workers = std::move(workers)}; }
Waiting InAllReduce() { return {.all_reduce = true}; }
Waiting ForCoordinator() { return {.coordinator = true}; }

// Three shards and three workers of view 7.3. Who says nothing computes.
class StallsTest : public ::testing::Test {
 protected:
  StallsTest() {
    view_.view = kView;
    for (uint32_t id = 0; id < 3; ++id) {
      view_.shards.push_back({.id = id, .address = "h:1", .range = {}});
      view_.workers.push_back({.id = id, .rendezvous = "h:1"});
      for (const Role role : {Role::kShard, Role::kWorker}) {
        const Registration registration{.role = role,
                                        .address = "h:1",
                                        .host = "h",
                                        .capacity_bytes = role == Role::kShard ? uint64_t{1} << 30 : 0};
        EXPECT_TRUE(members_.Admit(++connection_, registration, {}).ok());
      }
    }
  }
  // The member has waited for more than the limit, in the present view.
  void Waits(const Seat& seat, Waiting waiting) { Waits(seat, std::move(waiting), kView, 9.5); }
  void Waits(const Seat& seat, Waiting waiting, const View& view, double seconds) {
    waiting.view = view;
    waiting.seconds = seconds;
    members_.At(*members_.At(seat)).stats.waiting = std::move(waiting);
  }
  // "shard 0: worker 1" for each that is reported.
  std::vector<std::string> Found() const {
    std::vector<std::string> found;
    for (const auto& [seat, report] : Stalls(view_, members_, kLimit)) {
      EXPECT_EQ(report.view, kView);
      std::string line = absl::StrCat(NameOf(seat), ":");
      for (const uint32_t id : report.shards) absl::StrAppend(&line, " shard ", id);
      for (const uint32_t id : report.workers) absl::StrAppend(&line, " worker ", id);
      found.push_back(std::move(line));
    }
    return found;
  }

  ViewAnnouncement view_;
  Connection connection_ = 0;
  Membership members_{{.shards = 3, .workers = 3}};
};

TEST_F(StallsTest, WhereEverybodyComputesNobodyStalls) { EXPECT_THAT(Found(), IsEmpty()); }

TEST_F(StallsTest, TellsForHowLongWasWaited) {
  Waits(kShard0, ForWorkers({1}), kView, 12.3456);
  Waits(kWorker1, ForShards({0}));
  const auto stalls = Stalls(view_, members_, kLimit);
  ASSERT_THAT(stalls, SizeIs(2));
  EXPECT_EQ(stalls[0].second.sentence, "it has waited for others in vain, for 12.3s");
}

// --- A shard waits for a worker

TEST_F(StallsTest, AShardAndAWorkerThatWaitForEachOtherBothStall) {
  Waits(kShard0, ForWorkers({1}));
  Waits(kWorker1, ForShards({0}));
  EXPECT_THAT(Found(), ElementsAre("shard 0: worker 1", "worker 1: shard 0"));
}

TEST_F(StallsTest, AShardWaitsInVainForAWorkerThatHasSentEverything) {
  Waits(kShard0, ForWorkers({1, 2}));
  Waits(kWorker1, InAllReduce());
  Waits(kWorker2, ForCoordinator());
  Waits(kWorker0, InAllReduce());
  EXPECT_THAT(Found(),
              ElementsAre("shard 0: worker 1 worker 2", "worker 0: worker 1 worker 2", "worker 1: worker 0 worker 2"));
}

TEST_F(StallsTest, AShardWaitsInOrderForAWorkerThatWaitsForAnotherShard) {
  Waits(kShard0, ForWorkers({1}));
  Waits(kWorker1, ForShards({2}));
  Waits(kShard2, ForWorkers({1}));
  EXPECT_THAT(Found(), ElementsAre("shard 2: worker 1", "worker 1: shard 2")) << "shard 0 has nothing to complain of";
}

TEST_F(StallsTest, AShardWaitsInOrderForAWorkerThatComputes) {
  Waits(kShard0, ForWorkers({1}));
  Waits(kShard1, ForWorkers({1}));
  EXPECT_THAT(Found(), IsEmpty());
}

// --- A worker waits for a shard

TEST_F(StallsTest, AWorkerWaitsInVainForAShardThatWaitsForNoWorker) {
  Waits(kWorker0, ForShards({0, 1}));
  Waits(kShard0, ForCoordinator());
  Waits(kShard1, ForShards({0}));
  EXPECT_THAT(Found(), ElementsAre("shard 1: shard 0", "worker 0: shard 0 shard 1"));
}

TEST_F(StallsTest, AWorkerWaitsInOrderForAShardThatWaitsForAnotherWorker) {
  Waits(kWorker0, ForShards({0}));
  Waits(kShard0, ForWorkers({1}));
  Waits(kWorker1, ForCoordinator());
  EXPECT_THAT(Found(), ElementsAre("shard 0: worker 1")) << "nothing is wrong between worker 0 and shard 0";
}

TEST_F(StallsTest, AWorkerWaitsInOrderForAShardThatComputes) {
  Waits(kWorker0, ForShards({0, 1}));
  Waits(kShard1, ForWorkers({0}));
  EXPECT_THAT(Found(), IsEmpty()) << "shard 0 may need that long";
  Waits(kShard0, ForWorkers({0}));
  EXPECT_THAT(Found(), ElementsAre("shard 0: worker 0", "shard 1: worker 0", "worker 0: shard 0 shard 1"));
}

// --- A worker waits in an all-reduce

TEST_F(StallsTest, WorkersThatAllWaitInAnAllReduceStall) {
  for (const Seat& worker : {kWorker0, kWorker1, kWorker2}) Waits(worker, InAllReduce());
  EXPECT_THAT(Found(),
              ElementsAre("worker 0: worker 1 worker 2", "worker 1: worker 0 worker 2", "worker 2: worker 0 worker 1"));
}

TEST_F(StallsTest, AnAllReduceWaitsInVainForAWorkerThatIsThroughWithIt) {
  Waits(kWorker0, InAllReduce());
  for (const Seat& worker : {kWorker1, kWorker2}) Waits(worker, ForCoordinator());
  EXPECT_THAT(Found(), ElementsAre("worker 0: worker 1 worker 2"));
}

TEST_F(StallsTest, AnAllReduceWaitsInOrderForAWorkerThatComputes) {
  for (const Seat& worker : {kWorker0, kWorker1}) Waits(worker, InAllReduce());
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(StallsTest, AnAllReduceWaitsInOrderWhileAWorkerWaitsForAShard) {
  for (const Seat& worker : {kWorker0, kWorker1}) Waits(worker, InAllReduce());
  Waits(kWorker2, ForShards({1}));
  Waits(kShard1, ForWorkers({2}));
  EXPECT_THAT(Found(), ElementsAre("shard 1: worker 2", "worker 2: shard 1")) << "the workers reach each other";
}

// --- A shard waits for a shard's log

TEST_F(StallsTest, AShardWaitsInVainForTheLogOfAShardThatDoesNothing) {
  Waits(kShard1, ForShards({0}));
  Waits(kShard0, ForCoordinator());
  EXPECT_THAT(Found(), ElementsAre("shard 1: shard 0"));
}

TEST_F(StallsTest, AShardWaitsInOrderForTheLogOfAShardThatReads) {
  Waits(kShard1, ForShards({0}));
  EXPECT_THAT(Found(), IsEmpty());
}

// --- Who explains others

TEST_F(StallsTest, OneThatComputesExplainsAllThatWaitForItHoweverManyAreBetween) {
  Waits(kWorker0, ForShards({0}));
  Waits(kShard0, ForWorkers({1}));
  Waits(kWorker1, ForShards({1}));
  Waits(kShard1, ForWorkers({2}));  // and worker 2 computes
  EXPECT_THAT(Found(), IsEmpty());
  Waits(kWorker2, ForCoordinator());
  EXPECT_THAT(Found(), ElementsAre("shard 1: worker 2")) << "where the chain ends the link is at fault";
}

TEST_F(StallsTest, WhoIsThroughAndWaitsForTheCoordinatorAloneStallsNever) {
  for (const Seat& seat : {kShard0, kShard1, kShard2, kWorker0, kWorker1, kWorker2}) Waits(seat, ForCoordinator());
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(StallsTest, AWaitOfAnotherViewIsNone) {
  Waits(kShard0, ForWorkers({1}));
  Waits(kWorker1, ForShards({0}), {7, 2}, 30.0);  // it has not heard of this view yet, or is on its way into it
  EXPECT_THAT(Found(), IsEmpty());
  Waits(kShard0, ForWorkers({1}), {7, 2}, 30.0);
  EXPECT_THAT(Found(), IsEmpty());
}

TEST_F(StallsTest, AShortWaitIsNone) {
  Waits(kShard0, ForWorkers({1}));
  Waits(kWorker1, ForShards({0}), kView, 8.0);  // it has computed until a moment ago
  EXPECT_THAT(Found(), IsEmpty());
  Waits(kWorker1, ForShards({0}), kView, 8.1);
  EXPECT_THAT(Found(), SizeIs(2));
}

TEST_F(StallsTest, AWaitForWhoIsGoneIsExplained) {
  Waits(kShard0, ForWorkers({1}));
  members_.Remove(*members_.At(kWorker1));
  EXPECT_THAT(Found(), IsEmpty());
}

}  // namespace
}  // namespace arcshard::coordinator
