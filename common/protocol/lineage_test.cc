#include "common/protocol/lineage.h"

#include <limits>
#include <set>

#include "gtest/gtest.h"

namespace arcshard {
namespace {

const Decision kCommit{{3, 2}, 17, Outcome::kCommit, 0.05, {NextAction::kStop, {}}};

TEST(LineageTest, ItIsTheSameInEveryProcessAndVersion) {
  // Manifests keep it, so what is computed must not change.
  EXPECT_EQ(ExtendLineage(0, kCommit), 0x9972e688fc6efcb8);
  const Decision skip{{3, 4}, 18, Outcome::kSkip, 0.05, {NextAction::kStop, {}}};
  EXPECT_EQ(ExtendLineage(0x9972e688fc6efcb8, skip), 0xbb966796e1a93e1f);
}

TEST(LineageTest, WhatIsDecidedAndWhatWasBeforeItMakeIt) {
  std::set<uint64_t> lineages = {0, ExtendLineage(0, kCommit), ExtendLineage(1, kCommit),
                                 ExtendLineage(ExtendLineage(0, kCommit), kCommit)};
  const auto add = [&](auto change) {
    Decision changed = kCommit;
    change(&changed);
    lineages.insert(ExtendLineage(0, changed));
  };
  add([](Decision* d) { d->view.incarnation = 4; });
  add([](Decision* d) { d->view.counter = 3; });  // the same step, computed again after a loss
  add([](Decision* d) { d->step = 18; });
  add([](Decision* d) { d->outcome = Outcome::kSkip; });
  add([](Decision* d) { d->lr = 0.1; });
  add([](Decision* d) { d->lr = -0.05; });
  add([](Decision* d) { d->lr = 0.05 + std::numeric_limits<double>::epsilon(); });
  EXPECT_EQ(lineages.size(), 11u);
}

TEST(LineageTest, WhatIsNextAndWhatIsCountedDoNotChangeIt) {
  Decision decision = kCommit;
  decision.next = {NextAction::kStep, {18, 2, 704, {64}}, true};
  decision.counters = {.skipped = 3, .best = {0.9, 10, {"lfw"}}};
  decision.lineage = 7;
  EXPECT_EQ(ExtendLineage(0, decision), ExtendLineage(0, kCommit));
}

TEST(LineageTest, TheOrderOfDecisionsMakesIt) {
  Decision other = kCommit;
  other.outcome = Outcome::kSkip;
  EXPECT_NE(ExtendLineage(ExtendLineage(0, kCommit), other), ExtendLineage(ExtendLineage(0, other), kCommit));
}

TEST(LineageTest, ADecisionLeadsToThePointThatItNames) {
  Decision decision = kCommit;
  decision.lineage = ExtendLineage(0, kCommit);
  EXPECT_EQ(decision.after(), (StatePoint{17, 0x9972e688fc6efcb8}));
}

}  // namespace
}  // namespace arcshard
