#include "coordinator/policy/choose_state.h"

#include "common/protocol/lineage.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr Seat kShard0{Role::kShard, 0}, kShard1{Role::kShard, 1}, kWorker0{Role::kWorker, 0},
    kWorker1{Role::kWorker, 1};
constexpr View kView{3, 1};

// Two shards and two workers of view 3.1, whose last decision is that about step 17, on from a base of step 10.
class ChooseStateTest : public ::testing::Test {
 protected:
  ChooseStateTest() {
    inputs_.ranges = {{0, 5}, {5, 9}};
    inputs_.base = kBase;
    for (const Seat& seat : {kShard0, kShard1, kWorker0, kWorker1}) Add(seat, after_17_);
  }

  static Decision Decide(const StatePoint& before, View view = kView) {
    Decision decision{.view = view, .step = before.step + 1, .lr = 0.5, .next = {}};
    decision.lineage = ExtendLineage(before.lineage, decision);
    return decision;
  }
  Holding& Add(const Seat& seat, const Decision& last) {
    Holding holding{seat, {.view = kView, .range_ends = {5, 9}, .workers = {0, 1}}};
    holding.held.state = last.after();
    holding.held.whole = true;
    holding.held.last = last;
    if (seat.role == Role::kShard) {
      holding.range = inputs_.ranges[seat.id];
      holding.held.log_base = kBase;
    }
    inputs_.holdings.push_back(holding);
    return inputs_.holdings.back();
  }
  HeldState& Of(const Seat& seat) {
    for (Holding& holding : inputs_.holdings) {
      if (holding.seat == seat) return holding.held;
    }
    ADD_FAILURE() << "there is no such holding";
    return inputs_.holdings.front().held;
  }
  void Lose(const Seat& seat) {
    std::erase_if(inputs_.holdings, [&](const Holding& holding) { return holding.seat == seat; });
  }
  void ExpectRollback(const std::string& why) {
    const ChosenState chosen = ChooseState(inputs_);
    EXPECT_EQ(chosen.state, kBase);
    EXPECT_EQ(chosen.last, std::nullopt);
    EXPECT_EQ(chosen.given_up, 17u);
    EXPECT_THAT(chosen.reason, HasSubstr(why));
    EXPECT_THAT(chosen.holders, IsEmpty());
  }

  static constexpr StatePoint kBase{10, 1010};
  const StatePoint at_16_{16, 1616};
  const Decision after_17_ = Decide(at_16_);
  StateInputs inputs_;
};

TEST_F(ChooseStateTest, GoesOnWhereAllAre) {
  const ChosenState chosen = ChooseState(inputs_);
  EXPECT_EQ(chosen.state, after_17_.after());
  EXPECT_EQ(chosen.last, after_17_);
  EXPECT_THAT(chosen.holders, UnorderedElementsAre(kShard0, kShard1, kWorker0, kWorker1));
  EXPECT_THAT(chosen.logs, UnorderedElementsAre(kShard0, kShard1));
  EXPECT_EQ(chosen.given_up, 0u);
}

TEST_F(ChooseStateTest, WhereNobodyHoldsAnythingItIsTheBase) {
  inputs_.holdings.clear();
  const ChosenState chosen = ChooseState(inputs_);
  EXPECT_EQ(chosen.state, kBase);
  EXPECT_EQ(chosen.given_up, 0u) << "nothing is known to be lost";
}

TEST_F(ChooseStateTest, ADecisionThatSomeHaveMissedStandsIfTheyHaveVotedForIt) {
  for (const Seat& seat : {kShard1, kWorker0}) {
    HeldState& held = Of(seat);
    held.state = at_16_;
    held.last = std::nullopt;
    held.voted_step = 17;
  }
  const ChosenState chosen = ChooseState(inputs_);
  EXPECT_EQ(chosen.state, after_17_.after());
  EXPECT_THAT(chosen.holders, UnorderedElementsAre(kShard0, kShard1, kWorker0, kWorker1));
}

TEST_F(ChooseStateTest, WhoHasMissedItWithoutAVoteHoldsNothing) {
  Of(kShard1).state = at_16_;
  Of(kWorker0).state = at_16_;
  EXPECT_THAT(ChooseState(inputs_).holders, UnorderedElementsAre(kShard0, kWorker1));
}

TEST_F(ChooseStateTest, AVoteOfAnEarlierViewIsNoneForTheStepOfALaterOne) {
  HeldState& zombie = Of(kWorker0);
  zombie.view = {3, 0};  // it has voted there for step 17, which was decided only in view 3.1
  zombie.state = at_16_;
  zombie.voted_step = 17;
  zombie.last = std::nullopt;
  EXPECT_THAT(ChooseState(inputs_).holders, UnorderedElementsAre(kShard0, kShard1, kWorker1));
}

TEST_F(ChooseStateTest, WhoKnowsOnlyOfAnOlderViewDoesNotSayWhatWasDecidedLast) {
  const Decision voided = Decide(after_17_.after(), {3, 0});  // of step 18, in a view that was over by then
  HeldState& zombie = Of(kShard1);
  zombie.view = {3, 0};
  zombie.last = voided;
  zombie.state = voided.after();
  const ChosenState chosen = ChooseState(inputs_);
  EXPECT_EQ(chosen.state, after_17_.after());
  EXPECT_THAT(chosen.holders, UnorderedElementsAre(kShard0, kWorker0, kWorker1));
}

TEST_F(ChooseStateTest, WhoWasNotYetToldOfTheNewestViewHoldsTheSameState) {
  for (Holding& holding : inputs_.holdings) {
    if (holding.seat == kWorker0) holding.held.view = {3, 2};  // the coordinator died while it announced that one
  }
  const ChosenState chosen = ChooseState(inputs_);
  EXPECT_EQ(chosen.state, after_17_.after());
  EXPECT_EQ(chosen.holders.size(), 4u);
}

TEST_F(ChooseStateTest, OneLostShardIsRebuiltFromTheLogOfAnother) {
  Lose(kShard1);
  const ChosenState chosen = ChooseState(inputs_);
  EXPECT_EQ(chosen.state, after_17_.after());
  EXPECT_THAT(chosen.holders, UnorderedElementsAre(kShard0, kWorker0, kWorker1));
}

TEST_F(ChooseStateTest, AShardOfOtherClassesHasToBeRebuilt) {
  inputs_.holdings[1].range = {0, 9};
  EXPECT_THAT(ChooseState(inputs_).holders, UnorderedElementsAre(kShard0, kWorker0, kWorker1));
}

TEST_F(ChooseStateTest, ALogThatBeginsAfterTheBaseOrWithAnotherLineageIsNoLog) {
  Of(kShard0).log_base = StatePoint{8, 88};
  EXPECT_THAT(ChooseState(inputs_).logs, UnorderedElementsAre(kShard0, kShard1));
  Of(kShard0).log_base = StatePoint{11, 1111};
  EXPECT_THAT(ChooseState(inputs_).logs, UnorderedElementsAre(kShard1));
  Of(kShard0).log_base = StatePoint{10, 9999};
  EXPECT_THAT(ChooseState(inputs_).logs, UnorderedElementsAre(kShard1));
  Of(kShard0).log_base.reset();
  EXPECT_THAT(ChooseState(inputs_).logs, UnorderedElementsAre(kShard1));
}

TEST_F(ChooseStateTest, WithoutALogALostShardRollsEverybodyBack) {
  Lose(kShard1);
  Of(kShard0).log_base.reset();
  ExpectRollback(
      "shard 1 has to be rebuilt, but no shard that holds the state after step 17 has a log that begins at "
      "step 10");
}

TEST_F(ChooseStateTest, TheLossOfAllShardsRollsEverybodyBack) {
  Lose(kShard0);
  Lose(kShard1);
  ExpectRollback("no shard holds the state after step 17");
}

TEST_F(ChooseStateTest, ALogThatCannotBeReadRollsEverybodyBack) {
  Lose(kShard1);
  inputs_.log_problem = "shard 1: shard 0 does not answer";
  ExpectRollback("shard 1 cannot be rebuilt: shard 1: shard 0 does not answer");
}

TEST_F(ChooseStateTest, WithoutALogNobodyIsRolledBackWhileAllHoldTheState) {
  for (const Seat& seat : {kShard0, kShard1}) Of(seat).log_base.reset();
  EXPECT_EQ(ChooseState(inputs_).state, after_17_.after());
}

TEST_F(ChooseStateTest, TheLossOfAllWorkersRollsEverybodyBack) {
  Lose(kWorker0);
  Lose(kWorker1);
  ExpectRollback("no worker holds the state after step 17");
}

TEST_F(ChooseStateTest, AHalfRebuiltStateIsNone) {
  Of(kWorker0).whole = false;
  Of(kShard1).whole = false;
  EXPECT_THAT(ChooseState(inputs_).holders, UnorderedElementsAre(kShard0, kWorker1));
}

TEST_F(ChooseStateTest, ABaseThatIsNewerThanAllMembersIsTaken) {
  inputs_.base = {20, 2020};
  const ChosenState chosen = ChooseState(inputs_);
  EXPECT_EQ(chosen.state, inputs_.base);
  EXPECT_EQ(chosen.given_up, 0u);
}

TEST_F(ChooseStateTest, TheStateOfTheBaseNeedsNoHolder) {
  inputs_.base = after_17_.after();
  Lose(kWorker0);
  Lose(kWorker1);
  const ChosenState chosen = ChooseState(inputs_);
  EXPECT_EQ(chosen.state, inputs_.base);
  EXPECT_EQ(chosen.last, after_17_) << "whoever has voted for it need not restore the base";
  EXPECT_EQ(chosen.given_up, 0u);
}

TEST_F(ChooseStateTest, ACoordinatorThatHasDecidedItselfTakesNoOthersWord) {
  inputs_.knows_last = true;
  inputs_.last = after_17_;
  const Decision invented = Decide({40, 4040});
  Of(kWorker1).last = invented;
  EXPECT_EQ(ChooseState(inputs_).state, after_17_.after());
  inputs_.last = std::nullopt;  // it has gone back to its base, and whoever was away then does not know
  EXPECT_EQ(ChooseState(inputs_).state, kBase);
  EXPECT_EQ(ChooseState(inputs_).given_up, 0u);
}

}  // namespace
}  // namespace arcshard::coordinator
