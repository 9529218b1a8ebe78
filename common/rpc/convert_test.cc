#include "common/rpc/convert.h"

#include "gtest/gtest.h"

namespace arcshard {
namespace {

const StepPlan kPlan{17, 2, 640, {64, 64, 33}};

ViewAnnouncement Announcement() {
  return {{3, 2},
          964,
          {{0, "127.0.0.1:5000", {0, 322}}, {1, "127.0.0.1:5001", {322, 322}}, {2, "127.0.0.1:5002", {322, 964}}},
          {{0, "127.0.0.1:6000", "token of worker0"}, {4, "127.0.0.1:6001"}},
          {{1, 4, 2}},
          16,
          "/runs/a/checkpoints/step-00000016.2"};
}

TEST(ConvertTest, EveryValueSurvivesTheRoundTrip) {
  const Key key{{3, 2}, 17, 5, 1};
  EXPECT_EQ(*FromProto(ToProto(key)), key);
  EXPECT_EQ(*FromProto(ToProto(kPlan)), kPlan);
  for (const Next& next : {Next{NextAction::kStep, kPlan}, Next{NextAction::kEvaluate, {}}, Next{NextAction::kStop, {}},
                           Next{NextAction::kStep, kPlan, true}, Next{NextAction::kStop, {}, true}}) {
    EXPECT_EQ(*FromProto(ToProto(next)), next);
    for (const Outcome outcome : {Outcome::kCommit, Outcome::kSkip}) {
      const Decision decision{{3, 2}, 16, outcome, 0.05, next};
      EXPECT_EQ(*FromProto(ToProto(decision)), decision);
    }
  }
  EXPECT_EQ(*FromProto(ToProto(Announcement())), Announcement());
}

TEST(ConvertTest, WhatAMessageLacksIsNamed) {
  EXPECT_EQ(FromProto(v1::Key()).status().message(), "key.view is missing");
  EXPECT_EQ(FromProto(v1::Decision()).status().message(), "decision.view is missing");
  EXPECT_EQ(FromProto(v1::Next()).status().message(), "next.action 0 is not known");
  v1::StepPlan plan = ToProto(kPlan);
  plan.add_micro_batch_sizes(0);
  EXPECT_EQ(FromProto(plan).status().message(), "plan.micro_batch_sizes has a 0");
}

TEST(ConvertTest, RangesWithAGapOrShortOfAllClassesAreRefused) {
  v1::ViewAnnouncement gap = ToProto(Announcement());
  gap.mutable_shards(2)->mutable_range()->set_begin(400);
  EXPECT_EQ(FromProto(gap).status().message(), "the class range [400, 964) of shard 2 does not begin at 322");
  v1::ViewAnnouncement missing = ToProto(Announcement());
  missing.set_num_classes(1000);
  EXPECT_EQ(FromProto(missing).status().message(), "the shards' ranges cover 964 of 1000 classes");
}

}  // namespace
}  // namespace arcshard
