#include "coordinator/members/quorum.h"

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

using Workers = std::vector<uint32_t>;

constexpr MonotonicTime kNever = MonotonicTime::InfiniteFuture();

class QuorumTest : public ::testing::Test {
 protected:
  Member& Add(Role role, Connection connection, bool with_data = true) {
    const auto member = members_.Admit(connection,
                                       {.role = role,
                                        .address = absl::StrCat("h:", connection),
                                        .host = "h",
                                        .capacity_bytes = role == Role::kShard ? uint64_t{1} << 30 : 0},
                                       now_);
    EXPECT_TRUE(member.ok()) << member.status();
    if (role == Role::kWorker && with_data) (*member)->data = DatasetReport{100, 9, 42};
    return **member;
  }
  bool Enough(const std::optional<std::vector<uint32_t>>& awaited = std::nullopt, MonotonicTime grace_ends = kNever) {
    return HasEnough(members_, awaited, grace_ends, now_);
  }

  MonotonicTime now_ = MonotonicTime() + absl::Seconds(1000);
  Membership members_{{.shards = 2, .workers = 2}};
};

TEST_F(QuorumTest, AFirstViewNeedsEverybodyAndTheDataOfAllWorkers) {
  Add(Role::kShard, 1);
  Add(Role::kWorker, 2);
  Member& second = Add(Role::kWorker, 3, /*with_data=*/false);
  Add(Role::kShard, 4);
  EXPECT_FALSE(Enough());
  second.data = DatasetReport{100, 9, 42};
  EXPECT_TRUE(Enough());
  EXPECT_THAT(Participants(members_, now_), UnorderedElementsAre(1, 2, 3, 4));
}

TEST_F(QuorumTest, NoGraceReplacesAShard) {
  Add(Role::kShard, 1);
  Add(Role::kWorker, 2);
  Add(Role::kWorker, 3);
  EXPECT_FALSE(Enough(Workers{0, 1}, now_));
}

TEST_F(QuorumTest, AnyWorkerWillDoOnceTheGraceIsOver) {
  Add(Role::kShard, 1);
  Add(Role::kShard, 2);
  EXPECT_FALSE(Enough(Workers{0, 1}, now_)) << "there is none";
  Add(Role::kWorker, 3);
  EXPECT_FALSE(Enough(Workers{0, 1}, now_ + absl::Seconds(1)));
  EXPECT_TRUE(Enough(Workers{0, 1}, now_));
}

TEST_F(QuorumTest, OnlyTheAwaitedWorkersAreWaitedFor) {
  Add(Role::kShard, 1);
  Add(Role::kShard, 2);
  Add(Role::kWorker, 3);
  EXPECT_TRUE(Enough(Workers{0}));
  EXPECT_FALSE(Enough(Workers{1}));
  EXPECT_TRUE(Enough(Workers{0, 5})) << "the run has no worker 5 any more";
}

TEST_F(QuorumTest, ABarredWorkerCountsOnlyWhileThereIsNoOther) {
  Add(Role::kShard, 1);
  Add(Role::kShard, 2);
  Member& barred = Add(Role::kWorker, 3);
  members_.Bar(barred.token, now_ + absl::Seconds(60));
  EXPECT_THAT(Participants(members_, now_), UnorderedElementsAre(1, 2, 3));
  Add(Role::kWorker, 4);
  EXPECT_THAT(Participants(members_, now_), UnorderedElementsAre(1, 2, 4));
  EXPECT_THAT(Participants(members_, now_ + absl::Seconds(60)), UnorderedElementsAre(1, 2, 3, 4));
}

TEST_F(QuorumTest, ABarredWorkerTakesPartIfItAloneHoldsTheNewestState) {
  const auto holding = [](uint64_t step) {
    return HeldState{.view = {1, 1}, .range_ends = {}, .workers = {}, .state = {step, 7}, .whole = true};
  };
  Add(Role::kShard, 1);
  Add(Role::kShard, 2);
  Member& barred = Add(Role::kWorker, 3);
  barred.held = holding(11);
  members_.Bar(barred.token, now_ + absl::Seconds(60));
  Member& other = Add(Role::kWorker, 4);
  EXPECT_THAT(Participants(members_, now_), UnorderedElementsAre(1, 2, 3, 4)) << "the other one holds nothing";
  other.held = holding(10);
  EXPECT_THAT(Participants(members_, now_), UnorderedElementsAre(1, 2, 3, 4)) << "the other one's is older";
  other.held = holding(11);
  EXPECT_THAT(Participants(members_, now_), UnorderedElementsAre(1, 2, 4));
  other.held->whole = false;
  EXPECT_THAT(Participants(members_, now_), UnorderedElementsAre(1, 2, 3, 4)) << "the other one's is being rebuilt";
}

TEST_F(QuorumTest, TheNewestViewThatMembersKnowNamesTheWorkers) {
  EXPECT_EQ(WorkersOfNewestView(members_), std::nullopt);
  Add(Role::kShard, 1).held = HeldState{.view = {6, 2}, .range_ends = {}, .workers = {0}};
  Add(Role::kShard, 2).held = HeldState{.view = {6, 1}, .range_ends = {}, .workers = {0, 1}};
  EXPECT_THAT(*WorkersOfNewestView(members_), ElementsAre(0));
}

TEST_F(QuorumTest, AnyShardCanBeRebuiltWhileTwoHaveALog) {
  constexpr View kView{7, 1};
  for (const Connection connection : {1, 2}) {
    Member& shard = Add(Role::kShard, connection);
    shard.view = kView;
    shard.held = HeldState{.view = kView, .range_ends = {}, .workers = {}, .whole = true, .log_base = StatePoint{}};
  }
  EXPECT_TRUE(AnyShardCanBeRebuilt(members_, kView));
  members_.At(2).held->log_base.reset();
  EXPECT_FALSE(AnyShardCanBeRebuilt(members_, kView)) << "of shard 1 nobody else has a log";
}

TEST_F(QuorumTest, TheLastHolderIsTheOnlyWorkerWithTheState) {
  const StatePoint state{7, 11};
  const HeldState held{.view = {1, 1}, .range_ends = {}, .workers = {}, .state = state, .whole = true};
  Add(Role::kShard, 1).held = held;
  EXPECT_EQ(LastHolder(members_, state), std::nullopt) << "no worker holds it";
  Add(Role::kWorker, 2).held = held;
  Member& second = Add(Role::kWorker, 3);
  EXPECT_EQ(LastHolder(members_, state), (Seat{Role::kWorker, 0}));
  second.held = held;
  second.held->whole = false;
  EXPECT_EQ(LastHolder(members_, state), (Seat{Role::kWorker, 0})) << "the other one's is being rebuilt";
  second.held->whole = true;
  EXPECT_EQ(LastHolder(members_, state), std::nullopt);
  EXPECT_EQ(LastHolder(members_, {8, 12}), std::nullopt);
}

}  // namespace
}  // namespace arcshard::coordinator
