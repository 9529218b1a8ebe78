#include "worker/held_point.h"

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/protocol/lineage.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard::worker {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using Source = HeldPoint::Source;

// The decision about the step after `before`, which was made in `view`.
Decision DecisionAfter(const StatePoint& before, const View& view, Outcome outcome = Outcome::kCommit) {
  Decision decision{.view = view, .step = before.step + 1, .outcome = outcome, .lr = 0.1, .next = {}};
  decision.counters.skipped = decision.step;
  decision.lineage = ExtendLineage(before.lineage, decision);
  return decision;
}

// A view of workers 0 and 1 that begins with the state after `last`, or with its base.
ViewAnnouncement ViewOf(const View& view, const std::optional<Decision>& last, const StatePoint& base = {},
                        std::vector<bool> holds = {false, false}) {
  ViewAnnouncement announcement;
  announcement.view = view;
  announcement.num_classes = 10;
  announcement.shards = {{0, "a:1", {0, 4}}, {1, "b:1", {4, 10}}};
  for (uint32_t id = 0; id < holds.size(); ++id) announcement.workers.push_back({id, "c:2", "", holds[id]});
  announcement.state = last.has_value() ? last->after() : base;
  announcement.last = last;
  announcement.base = base;
  return announcement;
}

// A worker at position 0 that holds the state after step 1 of view 1.1 and has been told of nothing else.
class HeldPointTest : public ::testing::Test {
 protected:
  HeldPointTest() {
    EXPECT_TRUE(held_.Enter(ViewOf({1, 1}, std::nullopt), 0).ok());
    held_.Restored();
    held_.Voted(1);
    EXPECT_TRUE(held_.Decided(first_).ok());
  }

  // How it enters the view; the step that it applies first, or 0.
  std::pair<Source, uint64_t> Enter(const ViewAnnouncement& view) {
    const auto entry = held_.Enter(view, 0);
    EXPECT_TRUE(entry.ok()) << entry.status();
    if (!entry.ok()) return {};
    return {entry->source, entry->apply.has_value() ? entry->apply->step : 0};
  }

  const Decision first_ = DecisionAfter({}, {1, 1});
  const Decision second_ = DecisionAfter(first_.after(), {1, 1});
  HeldPoint held_;
};

TEST(HeldPoint, NothingIsHeldBeforeTheFirstView) {
  const HeldPoint held;
  EXPECT_EQ(held.state(), HeldState());
  EXPECT_EQ(held.point(), std::nullopt);
}

TEST(HeldPoint, TheFirstWeightsAreNotHeldBeforeTheyAreMade) {
  HeldPoint held;
  const auto entry = held.Enter(ViewOf({1, 1}, std::nullopt), 0);
  ASSERT_TRUE(entry.ok()) << entry.status();
  EXPECT_EQ(entry->source, Source::kBase);
  EXPECT_EQ(held.point(), std::nullopt) << "although their point is zero";
  EXPECT_FALSE(held.state().whole);
  held.Restored();
  EXPECT_EQ(held.point(), StatePoint());
  EXPECT_TRUE(held.state().whole);
}

TEST_F(HeldPointTest, ItTellsAllThatItKnows) {
  held_.Voted(2);
  const HeldState held = held_.state();
  EXPECT_EQ(held.view, (View{1, 1}));
  EXPECT_THAT(held.range_ends, ElementsAre(4, 10));
  EXPECT_THAT(held.workers, ElementsAre(0, 1));
  EXPECT_EQ(held.state, first_.after());
  EXPECT_TRUE(held.whole);
  EXPECT_EQ(held.voted_step, 2u);
  EXPECT_EQ(held.last, first_);
  EXPECT_EQ(held.counters.skipped, 1u);
  EXPECT_EQ(held.log_base, std::nullopt);
}

TEST_F(HeldPointTest, TheViewsStateIsKept) {
  EXPECT_EQ(Enter(ViewOf({1, 2}, first_, {}, {true, false})), std::pair(Source::kKeep, uint64_t{0}));
  EXPECT_EQ(held_.point(), first_.after());
}

TEST_F(HeldPointTest, AVoteThatTheViewsLastDecisionIsAboutIsAppliedFirst) {
  for (const Outcome outcome : {Outcome::kCommit, Outcome::kSkip}) {
    HeldPoint held = held_;
    held.Voted(2);
    const Decision last = DecisionAfter(first_.after(), {1, 1}, outcome);
    const auto entry = held.Enter(ViewOf({1, 2}, last, {}, {true, true}), 0);
    ASSERT_TRUE(entry.ok()) << entry.status();
    EXPECT_EQ(entry->apply, last);
    EXPECT_EQ(entry->source, Source::kKeep);
    EXPECT_EQ(held.point(), last.after());
    EXPECT_EQ(held.state().voted_step, 0u);
    EXPECT_EQ(held.state().last, last);
    EXPECT_EQ(held.counters().skipped, 2u) << "it has not received the decision itself";
  }
}

TEST_F(HeldPointTest, WithoutAVoteTheStateIsCopied) {
  EXPECT_EQ(Enter(ViewOf({1, 2}, second_, {}, {false, true})), std::pair(Source::kCopy, uint64_t{0}));
  EXPECT_EQ(held_.point(), first_.after()) << "until the copy is there";
  EXPECT_FALSE(held_.state().whole);
  EXPECT_EQ(held_.state().state, StatePoint());
  EXPECT_EQ(held_.state().last, second_) << "it knows of the decision";
  held_.Restored();
  EXPECT_EQ(held_.point(), second_.after());
  EXPECT_TRUE(held_.state().whole);
  EXPECT_EQ(held_.state().state, second_.after());
  EXPECT_EQ(held_.state().last, second_);
  EXPECT_EQ(held_.counters().skipped, 2u);
}

TEST_F(HeldPointTest, AVoteOnAStepOfAnotherLineageIsVoid) {
  held_.Voted(2);
  const Decision others = DecisionAfter({1, first_.lineage ^ 1}, {1, 1});  // whose step 1 was decided otherwise
  EXPECT_EQ(Enter(ViewOf({1, 2}, others, {}, {false, true})), std::pair(Source::kCopy, uint64_t{0}));
}

// In the earlier view the step may have been computed in other micro-batches.
TEST_F(HeldPointTest, AVoteOfALaterViewThanTheDecisionIsVoid) {
  held_.Voted(2);
  EXPECT_EQ(Enter(ViewOf({1, 2}, first_, {}, {true, true})), std::pair(Source::kKeep, uint64_t{0}));
  held_.Voted(2);
  EXPECT_EQ(Enter(ViewOf({1, 3}, second_, {}, {false, true})), std::pair(Source::kCopy, uint64_t{0}));
}

TEST_F(HeldPointTest, AViewVoidsTheVoteThatItDoesNotName) {
  held_.Voted(2);
  Enter(ViewOf({1, 2}, first_, {}, {true, true}));
  EXPECT_EQ(held_.state().voted_step, 0u);
}

TEST_F(HeldPointTest, TheBaseIsRestoredByWhomeverDoesNotHoldIt) {
  held_.Voted(2);
  const StatePoint base{7, 77};
  EXPECT_EQ(Enter(ViewOf({2, 1}, std::nullopt, base)), std::pair(Source::kBase, uint64_t{0}));
  EXPECT_FALSE(held_.state().whole) << "what it held may be overwritten already";
  EXPECT_EQ(held_.state().last, std::nullopt);
  held_.Restored();
  EXPECT_EQ(held_.point(), base);
  EXPECT_EQ(held_.state().last, std::nullopt) << "no decision is known to have led to it";
  EXPECT_EQ(Enter(ViewOf({2, 2}, std::nullopt, base, {true, false})), std::pair(Source::kKeep, uint64_t{0}));
}

TEST_F(HeldPointTest, AStateOfTheSameStepAndAnotherLineageIsAnotherState) {
  EXPECT_EQ(Enter(ViewOf({2, 1}, std::nullopt, {1, first_.lineage ^ 1})), std::pair(Source::kBase, uint64_t{0}));
}

TEST_F(HeldPointTest, WhatWasVoidedBeforeTheCopyWasThereIsCopiedInTheNextView) {
  Enter(ViewOf({1, 2}, second_, {}, {false, true}));
  EXPECT_EQ(Enter(ViewOf({1, 3}, second_, {}, {false, true})), std::pair(Source::kCopy, uint64_t{0}));
  EXPECT_EQ(Enter(ViewOf({1, 4}, first_, {}, {false, true})), std::pair(Source::kKeep, uint64_t{0})) << "still there";
  EXPECT_EQ(Enter(ViewOf({1, 5}, second_, {}, {false, true})), std::pair(Source::kCopy, uint64_t{0}));
  held_.Restored();
  EXPECT_EQ(Enter(ViewOf({1, 6}, second_, {}, {true, true})), std::pair(Source::kKeep, uint64_t{0}));
}

TEST_F(HeldPointTest, AViewThatIsNotNewerIsRefused) {
  for (const View& old : {View{1, 1}, View{1, 0}, View{0, 9}}) {
    const auto entry = held_.Enter(ViewOf(old, first_, {}, {true, true}), 0);
    EXPECT_EQ(entry.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(entry.status().message()), HasSubstr("was announced after view 1.1"));
  }
}

TEST_F(HeldPointTest, AStateThatItIsSaidToHoldAndDoesNotIsRefused) {
  const auto entry = held_.Enter(ViewOf({1, 2}, second_, {}, {true, true}), 0);
  EXPECT_EQ(entry.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(entry.status().message()), HasSubstr("holds the state after step 2"));
  EXPECT_THAT(std::string(entry.status().message()), HasSubstr("but it holds that after step 1"));
}

TEST_F(HeldPointTest, AStateThatNobodyHoldsIsRefused) {
  const auto entry = held_.Enter(ViewOf({1, 2}, second_), 0);
  EXPECT_EQ(entry.status().code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(entry.status().message()), HasSubstr("no worker holds the state after step 2"));
}

TEST_F(HeldPointTest, ADecisionThatLeadsElsewhereIsRefusedAndBothLineagesAreNamed) {
  Decision other = second_;
  other.lineage = 0xabcdef;
  const absl::Status status = held_.Decided(other);
  EXPECT_EQ(status.code(), absl::StatusCode::kInternal);
  EXPECT_THAT(std::string(status.message()), HasSubstr("0000000000abcdef"));
  EXPECT_THAT(std::string(status.message()), HasSubstr(absl::StrCat(absl::Hex(second_.lineage, absl::kZeroPad16))));
  EXPECT_EQ(held_.point(), first_.after());
}

}  // namespace
}  // namespace arcshard::worker
