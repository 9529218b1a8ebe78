#include "common/rpc/convert/convert.h"

#include <limits>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::IsEmpty;

const StepPlan kPlan{17, 2, 640, {64, 64, 33}};
const RunCounters kCounters{.skipped = 4,
                            .skips_in_a_row = 2,
                            .corrupt_records = 5,
                            .corrupt_in_epoch = 1,
                            .verified_step = 12,
                            .best = {0.93, 12, {"lfw", "cfp_fp"}}};

TEST(ConvertTest, EveryValueSurvivesTheRoundTrip) {
  const Key key{{3, 2}, 17, 5};
  EXPECT_EQ(*FromProto(ToProto(key)), key);
  const StatePoint point{16, 0xfedcba9876543210};
  EXPECT_EQ(FromProto(ToProto(point)), point);
  EXPECT_EQ(*FromProto(ToProto(kPlan)), kPlan);
  EXPECT_EQ(*FromProto(ToProto(kCounters)), kCounters);
  for (const Next& next : {Next{NextAction::kStep, kPlan}, Next{NextAction::kEvaluate, {}}, Next{NextAction::kStop, {}},
                           Next{NextAction::kStep, kPlan, true}, Next{NextAction::kStop, {}, true}}) {
    EXPECT_EQ(*FromProto(ToProto(next)), next);
    for (const Outcome outcome : {Outcome::kCommit, Outcome::kSkip}) {
      const Decision decision{{3, 2}, 16, outcome, 0.05, next, 0xfedcba9876543210, kCounters};
      EXPECT_EQ(*FromProto(ToProto(decision)), decision);
    }
  }
}

TEST(ConvertTest, AMissingStatePointIsTheFirstWeightsAndMissingCountersAreZero) {
  EXPECT_EQ(FromProto(v1::StatePoint()), StatePoint());
  EXPECT_EQ(*FromProto(v1::RunCounters()), RunCounters());
}

TEST(ConvertTest, WhatAMessageLacksIsNamed) {
  EXPECT_EQ(FromProto(v1::Key()).status().message(), "key.view is missing");
  EXPECT_EQ(FromProto(v1::Decision()).status().message(), "decision.view is missing");
  EXPECT_EQ(FromProto(v1::Next()).status().message(), "next.action 0 is not known");
  v1::StepPlan plan = ToProto(kPlan);
  plan.add_micro_batch_sizes(0);
  EXPECT_EQ(FromProto(plan).status().message(), "plan.micro_batch_sizes has a 0");
}

TEST(ConvertTest, CountersThatCannotBeAreRefused) {
  const auto refusal = [](const v1::RunCounters& counters) {
    v1::Decision decision = ToProto(Decision{{3, 2}, 16, Outcome::kCommit, 0.05, {NextAction::kStop, {}}});
    *decision.mutable_counters() = counters;
    EXPECT_EQ(FromProto(decision).status(), FromProto(counters).status()) << "of a decision too";
    return std::string(FromProto(counters).status().message());
  };
  v1::RunCounters counters = ToProto(kCounters);
  counters.set_best_accuracy(std::numeric_limits<double>::infinity());
  EXPECT_EQ(refusal(counters), "counters.best_accuracy is inf; it must be finite");
  counters = ToProto(kCounters);
  while (counters.best_sets_size() < 65) counters.add_best_sets("lfw");
  EXPECT_EQ(refusal(counters), "counters.best_sets has 65 entries; at most 64 are taken");
  counters = ToProto(kCounters);
  counters.set_best_sets(1, std::string(257, 'x'));
  EXPECT_EQ(refusal(counters), "counters.best_sets has 257 bytes; at most 256 are taken");
}

// A run that verifies on so many sets goes on, as from a checkpoint that does not say of which sets the best one was.
TEST(ConvertTest, MoreVerificationSetsThanAMessageTakesAreNotNamed) {
  RunCounters counters = kCounters;
  counters.best.sets.assign(64, std::string(256, 'x'));
  EXPECT_EQ(*FromProto(ToProto(counters)), counters);
  for (const std::string& more : {std::string("lfw"), std::string(257, 'x')}) {
    RunCounters too_many = kCounters;
    if (more.size() <= 256) too_many.best.sets.assign(64, "lfw");
    too_many.best.sets.push_back(more);
    const absl::StatusOr<RunCounters> received = FromProto(ToProto(too_many));
    ASSERT_TRUE(received.ok()) << received.status();
    EXPECT_THAT(received->best.sets, IsEmpty());
    EXPECT_EQ(received->best.accuracy, kCounters.best.accuracy);
    EXPECT_EQ(received->verified_step, kCounters.verified_step);
  }
}

}  // namespace
}  // namespace arcshard
