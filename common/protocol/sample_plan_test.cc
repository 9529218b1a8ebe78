#include "common/protocol/sample_plan.h"

#include <cstdint>
#include <limits>
#include <numeric>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(SamplePlan, OfAConfigurationIsWhatItsKeysSay) {
  RunConfig config;
  config.data.batch_size = 8;
  config.data.micro_batch_size = 4;
  config.schedule.epochs = 2;
  config.verification.every_epochs = 1;
  for (const bool keep : {false, true}) {
    config.data.last_batch = keep ? "keep" : "drop";
    const auto plan = SamplePlanOf(config, 20);
    ASSERT_TRUE(plan.ok()) << plan.status();
    const uint64_t steps = keep ? 3 : 2;  // in an epoch
    EXPECT_EQ(plan->steps_per_epoch(), steps);
    EXPECT_EQ(plan->total_steps(), 2 * steps);
    EXPECT_TRUE(plan->EvaluationDueAfter(steps));
    EXPECT_EQ(plan->PlanOf(steps).batch_size(), keep ? 4u : 8u);
  }
  EXPECT_EQ(SamplePlanOf(config, 7).status().code(), absl::StatusCode::kInvalidArgument);
}

SamplePlan MakePlan(const SamplePlan::Options& options) {
  auto plan = SamplePlan::Create(options);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return *plan;
}

TEST(SamplePlan, CutsEpochsIntoBatchesAndBatchesIntoMicroBatches) {
  const SamplePlan plan = MakePlan({.samples = 1000, .batch_size = 128, .micro_batch_size = 48, .epochs = 2});
  EXPECT_EQ(plan.steps_per_epoch(), 7u);
  EXPECT_EQ(plan.total_steps(), 14u);
  EXPECT_EQ(plan.PlanOf(1), (StepPlan{1, 0, 0, {48, 48, 32}}));
  EXPECT_EQ(plan.PlanOf(7), (StepPlan{7, 0, 768, {48, 48, 32}}));
  EXPECT_EQ(plan.PlanOf(8), (StepPlan{8, 1, 0, {48, 48, 32}}));
}

TEST(SamplePlan, KeepsTheIncompleteLastBatchWhenAsked) {
  const SamplePlan plan =
      MakePlan({.samples = 1000, .batch_size = 128, .micro_batch_size = 64, .keep_last_batch = true, .epochs = 1.5});
  EXPECT_EQ(plan.steps_per_epoch(), 8u);
  EXPECT_EQ(plan.total_steps(), 12u);
  EXPECT_EQ(plan.PlanOf(8), (StepPlan{8, 0, 896, {64, 40}}));
}

TEST(SamplePlan, JoinsAMicroBatchOfASingleSampleToItsPredecessor) {
  const SamplePlan plan = MakePlan({.samples = 100, .batch_size = 9, .micro_batch_size = 4, .epochs = 1});
  EXPECT_THAT(plan.PlanOf(1).micro_batch_sizes, ElementsAre(4, 5));
}

TEST(SamplePlan, JoinsALastBatchOfASingleSampleToItsPredecessorIfBatchesAreKept) {
  SamplePlan::Options options{
      .samples = 17, .batch_size = 8, .micro_batch_size = 4, .keep_last_batch = true, .epochs = 2};
  const SamplePlan kept = MakePlan(options);
  EXPECT_EQ(kept.steps_per_epoch(), 2u);
  EXPECT_EQ(kept.PlanOf(1), (StepPlan{1, 0, 0, {4, 4}}));
  EXPECT_EQ(kept.PlanOf(2), (StepPlan{2, 0, 8, {4, 5}}));
  EXPECT_EQ(kept.PlanOf(4), (StepPlan{4, 1, 8, {4, 5}}));
  options.keep_last_batch = false;
  EXPECT_EQ(MakePlan(options).PlanOf(2), (StepPlan{2, 0, 8, {4, 4}}));
}

TEST(SamplePlan, KnowsTheMostSamplesOfAStep) {
  RunConfig config;
  config.data.batch_size = 8;
  config.data.last_batch = "drop";
  EXPECT_EQ(MostSamplesOfAStep(config), 8u);
  config.data.last_batch = "keep";
  EXPECT_EQ(MostSamplesOfAStep(config), 9u);
}

TEST(SamplePlan, OfAnyShapeTakesEachSampleAtMostOnceAndNoMicroBatchOfOne) {
  for (uint64_t samples = 2; samples < 40; ++samples) {
    for (uint32_t batch = 2; batch <= samples; ++batch) {
      for (uint32_t micro = 2; micro <= batch + 1; ++micro) {
        for (const bool keep : {false, true}) {
          const SamplePlan plan = MakePlan({.samples = samples,
                                            .batch_size = batch,
                                            .micro_batch_size = micro,
                                            .keep_last_batch = keep,
                                            .epochs = 1});
          uint64_t next = 0;
          for (uint64_t step = 1; step <= plan.steps_per_epoch(); ++step) {
            const StepPlan one = plan.PlanOf(step);
            ASSERT_EQ(one.first_sample, next);
            ASSERT_LE(one.batch_size(), batch + (keep ? 1 : 0));
            for (const uint32_t size : one.micro_batch_sizes) {
              ASSERT_GE(size, 2u);
              ASSERT_LE(size, micro + 1);
            }
            next += one.batch_size();
          }
          const uint64_t left = samples - next;
          ASSERT_LE(next, samples);
          ASSERT_EQ(left, keep ? 0 : samples % batch);
        }
      }
    }
  }
}

TEST(SamplePlan, EvaluatesEverySoManyEpochsAndAfterTheLastStep) {
  const SamplePlan plan =
      MakePlan({.samples = 100, .batch_size = 10, .micro_batch_size = 10, .epochs = 2.5, .evaluate_every_epochs = 1.0});
  std::vector<uint64_t> due;
  for (uint64_t step = 0; step <= plan.total_steps(); ++step) {
    if (plan.EvaluationDueAfter(step)) due.push_back(step);
  }
  EXPECT_THAT(due, ElementsAre(10, 20, 25));
}

TEST(SamplePlan, EvaluatesAtTheStepsNearestToAFractionalInterval) {
  const SamplePlan plan =
      MakePlan({.samples = 100, .batch_size = 10, .micro_batch_size = 10, .epochs = 1, .evaluate_every_epochs = 0.25});
  std::vector<uint64_t> due;
  for (uint64_t step = 0; step <= plan.total_steps(); ++step) {
    if (plan.EvaluationDueAfter(step)) due.push_back(step);
  }
  EXPECT_THAT(due, ElementsAre(3, 5, 8, 10));
}

TEST(SamplePlan, CountsTheEvaluationsThatAreToCome) {
  for (const double every : {0.0, 0.01, 0.1, 0.15, 0.25, 0.33, 0.7, 1.0, 1.3, 9.0}) {
    for (const uint64_t every_steps : {0, 1, 3, 8, 30}) {
      const SamplePlan plan = MakePlan({.samples = 100,
                                        .batch_size = 10,
                                        .micro_batch_size = 10,
                                        .epochs = 2.5,
                                        .evaluate_every_epochs = every,
                                        .evaluate_every_steps = every_steps});
      uint64_t to_come = 0;
      for (uint64_t step = plan.total_steps() + 1; step-- > 0;) {
        EXPECT_EQ(plan.EvaluationsAfter(step), to_come)
            << "after step " << step << ", every " << every << " epochs or " << every_steps << " steps";
        if (plan.EvaluationDueAfter(step)) ++to_come;
      }
    }
  }
}

TEST(SamplePlan, EvaluatesEverySoManyStepsToo) {
  const SamplePlan plan = MakePlan({.samples = 100,
                                    .batch_size = 10,
                                    .micro_batch_size = 10,
                                    .epochs = 2.5,
                                    .evaluate_every_epochs = 1.0,
                                    .evaluate_every_steps = 8});
  std::vector<uint64_t> due;
  for (uint64_t step = 0; step <= plan.total_steps(); ++step) {
    if (plan.EvaluationDueAfter(step)) due.push_back(step);
  }
  EXPECT_THAT(due, ElementsAre(8, 10, 16, 20, 24, 25));
}

TEST(SamplePlan, EvaluatesOnlyAtTheEndByDefault) {
  const SamplePlan plan = MakePlan({.samples = 100, .batch_size = 10, .micro_batch_size = 10, .epochs = 3});
  EXPECT_FALSE(plan.EvaluationDueAfter(10));
  EXPECT_TRUE(plan.EvaluationDueAfter(30));
}

TEST(SamplePlan, OfABatchLargerThanTheTrainingSetIsRefused) {
  const auto plan = SamplePlan::Create({.samples = 100, .batch_size = 128, .micro_batch_size = 64, .epochs = 1});
  EXPECT_EQ(plan.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(plan.status().message()),
              HasSubstr("data.batch_size is 128, but data.train has only 100 samples"));
}

TEST(SamplePlan, OfMoreStepsThanCanBeCountedIsRefusedWithWhatMakesThem) {
  constexpr uint64_t kMost = std::numeric_limits<uint64_t>::max();
  struct Case {
    uint64_t samples;
    uint32_t batch_size;
    double epochs;
    std::string cause;
  };
  const std::vector<Case> cases = {
      // What a participant that means no good may register.
      {kMost, 16, 10, "schedule.epochs is 10 and data.train has 18446744073709551615 samples: that makes 1.15292e+19"},
      {kMost, 2, 1, "data.train has 18446744073709551615 samples: that makes 9.22337e+18"},
      {kMost - 1, 16, 1000, "data.train has 18446744073709551614 samples"},
      {uint64_t{1} << 63, std::numeric_limits<uint32_t>::max(), 1e6, "data.train has 9223372036854775808 samples"},
      {100, 16, 1e300, "schedule.epochs is 1e+300 and data.train has 100 samples"},
      {kMost, 2, std::numeric_limits<double>::max(), "that makes inf steps"},
  };
  for (const Case& each : cases) {
    for (const bool keep : {false, true}) {
      const absl::Status status = SamplePlan::Create({.samples = each.samples,
                                                      .batch_size = each.batch_size,
                                                      .micro_batch_size = 2,
                                                      .keep_last_batch = keep,
                                                      .epochs = each.epochs})
                                      .status();
      EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
      EXPECT_THAT(
          std::string(status.message()),
          AllOf(HasSubstr(each.cause), HasSubstr("; at most 1e+15 can be counted"), Not(HasSubstr("must be above 0"))));
    }
  }
}

TEST(SamplePlan, OfAnHonestSizeIsNotTakenForTooManySteps) {
  // Ten billion pictures, for a thousand epochs.
  const SamplePlan plan =
      MakePlan({.samples = 10'000'000'000, .batch_size = 16, .micro_batch_size = 16, .epochs = 1000});
  EXPECT_EQ(plan.total_steps(), 625'000'000'000u);
}

TEST(SamplePlan, OfEpochsThatAreNoLengthIsRefusedForThem) {
  constexpr double kInfinite = std::numeric_limits<double>::infinity();
  for (const double epochs : {0.0, -1.0, kInfinite, -kInfinite, std::numeric_limits<double>::quiet_NaN()}) {
    const absl::Status status =
        SamplePlan::Create({.samples = 100, .batch_size = 8, .micro_batch_size = 8, .epochs = epochs}).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_THAT(std::string(status.message()), AllOf(HasSubstr("schedule.epochs is "), HasSubstr("must be above 0")));
  }
}

TEST(SamplePlan, OfAnOptionOutOfRangeIsRefused) {
  EXPECT_FALSE(SamplePlan::Create({.samples = 100, .batch_size = 1, .micro_batch_size = 1, .epochs = 1}).ok());
  EXPECT_FALSE(SamplePlan::Create({.samples = 100, .batch_size = 8, .micro_batch_size = 8, .epochs = 0}).ok());
  EXPECT_FALSE(SamplePlan::Create({.samples = 100, .batch_size = 8, .micro_batch_size = 8, .epochs = 1e300}).ok());
  EXPECT_FALSE(SamplePlan::Create(
                   {.samples = 100, .batch_size = 8, .micro_batch_size = 8, .epochs = 1, .evaluate_every_epochs = -1})
                   .ok());
}

}  // namespace
}  // namespace arcshard
