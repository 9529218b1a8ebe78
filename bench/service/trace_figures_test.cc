#include "bench/service/trace_figures.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace arcshard::bench {
namespace {

using nlohmann::json;
using ::testing::DoubleNear;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Two steps of 10 ms, from 100 ms on.
std::vector<TracedSpan> TwoSteps() {
  return {{"coordinator", "steps", "step", 90, 100, 6},
          {"coordinator", "steps", "step", 100, 110, 7},
          {"coordinator", "steps", "step", 110, 120, 8},
          {"coordinator", "steps", "decision", 109, 110, 7},
          {"worker 0", "training loop", "forward", 95, 102, 7},  // 2 ms of it lie within
          {"worker 0", "training loop", "forward", 102, 104, 7},
          {"worker 0", "training loop", "send", 103, 104, 7},
          {"worker 0", "training loop", "wait_for_shards", 104, 106, 7},
          {"worker 0", "wait for shard 0", "wait", 104, 106, 7},
          {"worker 0", "training loop", "backward", 112, 114, 8},
          {"shard 0", "executor", "pass_1", 105, 107, 7},
          {"shard 0", "executor", "pass_2", 113, 116, 8},
          {"shard 1", "executor", "pass_1", 106, 108, 7}};
}

TEST(TraceFiguresTest, AStepIsTheTimeBetweenTwoDecisions) {
  const auto figures = FiguresOf(TwoSteps(), 7, 8);
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_THAT(figures->step_ms, ElementsAre(10, 10));
}

TEST(TraceFiguresTest, APhaseIsTheMeanOverStepsAndProcessesOfItsRole) {
  const auto figures = FiguresOf(TwoSteps(), 7, 8);
  ASSERT_TRUE(figures.ok()) << figures.status();
  EXPECT_DOUBLE_EQ((figures->phase_ms.at({"worker", "forward"})), (2 + 2) / 2.0);
  EXPECT_DOUBLE_EQ((figures->phase_ms.at({"worker", "wait_for_shards"})), 2 / 2.0);
  EXPECT_DOUBLE_EQ((figures->phase_ms.at({"shard", "pass_1"})), (2 + 2) / 2.0 / 2);
  EXPECT_FALSE(figures->phase_ms.contains({"worker", "wait"})) << "it is not of the training loop";
}

TEST(TraceFiguresTest, WhatNobodyComputesInIsNotCovered) {
  const auto figures = FiguresOf(TwoSteps(), 7, 8);
  ASSERT_TRUE(figures.ok()) << figures.status();
  // Somebody computes in 100 to 103, 105 to 108 and 112 to 116.
  EXPECT_THAT(figures->uncovered_share, DoubleNear(1 - 10 / 20.0, 1e-12));
  EXPECT_THAT(figures->idle_share.at("worker"), DoubleNear(1 - 5 / 20.0, 1e-12));
  EXPECT_THAT(figures->idle_share.at("shard"), DoubleNear(1 - (5 + 2) / 2.0 / 20.0, 1e-12));
}

TEST(TraceFiguresTest, ALackingStepOrProcessIsNamed) {
  EXPECT_THAT(FiguresOf(TwoSteps(), 7, 9).status().message(), HasSubstr("lacks step 9"));
  EXPECT_THAT(FiguresOf(TwoSteps(), 8, 8).status().message(), HasSubstr("no step of shard 1"));
}

TEST(TraceFiguresTest, SpansHaveTheNamesOfTheirProcessAndRow) {
  const json trace = json::parse(R"([
    {"ph":"M","name":"process_name","pid":5,"args":{"name":"shard 0"}},
    {"ph":"X","name":"pass_1","pid":5,"tid":1,"ts":2000,"dur":500,"args":{"step":3}},
    {"ph":"M","name":"thread_name","pid":5,"tid":1,"args":{"name":"executor"}}])");
  const auto spans = SpansOf(trace);
  ASSERT_TRUE(spans.ok()) << spans.status();
  ASSERT_EQ(spans->size(), 1u);
  const TracedSpan& span = spans->front();
  EXPECT_EQ(span.process, "shard 0");
  EXPECT_EQ(span.row, "executor");
  EXPECT_EQ(span.name, "pass_1");
  EXPECT_DOUBLE_EQ(span.begin, 2.0);
  EXPECT_DOUBLE_EQ(span.end, 2.5);
  EXPECT_EQ(span.step, 3u);
}

TEST(TraceFiguresTest, WhatIsNoTraceIsRefused) {
  EXPECT_FALSE(SpansOf(json::object()).ok());
  EXPECT_FALSE(SpansOf(json::parse(R"([{"ph":"X","name":"x","pid":1}])")).ok());
}

}  // namespace
}  // namespace arcshard::bench
