#include "coordinator/policy/schedule.h"

#include <cmath>
#include <numbers>
#include <string>

#include "gtest/gtest.h"

namespace arcshard::coordinator {
namespace {

RunConfig::Schedule Config(const std::string& kind, double epochs, double lr) {
  RunConfig::Schedule config;
  config.kind = kind;
  config.epochs = epochs;
  config.lr = lr;
  return config;
}

TEST(Schedule, PolynomialFollowsItsClosedForm) {
  RunConfig::Schedule config = Config("polynomial", 10, 0.4);
  config.power = 2.0;
  config.end_lr = 0.1;
  const Schedule schedule(config, 10, 100);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(1), 0.4);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(51), 0.1 + 0.3 * 0.25);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(100), 0.1 + 0.3 * std::pow(0.01, 2));
}

TEST(Schedule, CosineFollowsItsClosedForm) {
  RunConfig::Schedule config = Config("cosine", 10, 0.4);
  const Schedule schedule(config, 10, 100);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(1), 0.4);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(51), 0.2);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(26), 0.2 * (1.0 + std::cos(std::numbers::pi / 4)));
}

TEST(Schedule, StepsDropAtTheFirstStepOfTheirEpoch) {
  RunConfig::Schedule config = Config("steps", 10, 1.0);
  config.drop_epochs = {3, 5.5};
  config.drop_factor = 0.1;
  const Schedule schedule(config, 10, 100);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(1), 1.0);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(30), 1.0);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(31), 0.1);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(55), 0.1);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(56), 0.1 * 0.1);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(100), 0.1 * 0.1);
}

TEST(Schedule, TheWarmUpMayEndElsewhereThanTheRateAfterIt) {
  RunConfig::Schedule config = Config("polynomial", 10, 0.2);
  config.warmup_epochs = 0.5;
  config.warmup_end_lr = 0.1;
  const Schedule schedule(config, 8, 80);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(1), 0.025);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(4), 0.1);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(5), 0.2);
}

TEST(Schedule, EveryKindWarmsUpLinearlyAndThenStartsFromTheFullRate) {
  for (const char* kind : {"polynomial", "steps", "cosine"}) {
    RunConfig::Schedule config = Config(kind, 10, 0.2);
    config.warmup_epochs = 0.5;
    const Schedule schedule(config, 8, 80);
    EXPECT_DOUBLE_EQ(schedule.LearningRate(1), 0.05) << kind;
    EXPECT_DOUBLE_EQ(schedule.LearningRate(2), 0.1) << kind;
    EXPECT_DOUBLE_EQ(schedule.LearningRate(4), 0.2) << kind;
    EXPECT_DOUBLE_EQ(schedule.LearningRate(5), 0.2) << kind;
  }
}

TEST(Schedule, DecaysOverTheStepsAfterWarmUpOnly) {
  RunConfig::Schedule config = Config("polynomial", 10, 1.0);
  config.power = 1.0;
  config.warmup_epochs = 2;
  const Schedule schedule(config, 10, 100);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(61), 0.5);  // 40 of 80 steps lie behind it
}

TEST(Schedule, OfAWarmUpAsLongAsTheRunStaysFinite) {
  RunConfig::Schedule config = Config("cosine", 1, 1.0);
  config.warmup_epochs = 3;
  const Schedule schedule(config, 10, 10);
  EXPECT_DOUBLE_EQ(schedule.LearningRate(10), 10.0 / 30.0);
}

TEST(Schedule, RefusesAnUnknownKind) {
  EXPECT_TRUE(Schedule::Validate(Config("cosine", 1, 1.0)).ok());
  EXPECT_EQ(Schedule::Validate(Config("cosin", 1, 1.0)).code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace arcshard::coordinator
