// Where classes are sampled, a step begins when all its labels have been received.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "shard_server/state/testing/shard_test_kit.h"

namespace arcshard::shard {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::SizeIs;

constexpr double kRate = 0.1;

std::unique_ptr<TestRun> SampledRunInStep1(bool deterministic = false) {
  ShardState::Options options = TestRun::DefaultOptions();
  options.deterministic = deterministic;
  return TestRun::InStep1(options, kRate);
}

TEST(ShardStateSamplingTest, PassOneTakesNothingBeforeTheLabelsOfAllMicroBatches) {
  for (const bool deterministic : {false, true}) {
    auto run = SampledRunInStep1(deterministic);
    ASSERT_TRUE(run->SendLabels(1, 0).ok());
    ASSERT_TRUE(run->SendEmbedding(1, 0).ok());
    ASSERT_TRUE(run->SendLabels(1, 2).ok());
    EXPECT_FALSE(run->state.HasWork());
    ASSERT_TRUE(run->SendLabels(1, 1).ok());
    run->RunAll();
    EXPECT_THAT(run->head.begun, ElementsAre("step 1: 1 3 2 4 3"));
    EXPECT_THAT(run->output.sent, ElementsAre("worker 0 step 1 micro-batch 0"));
  }
}

TEST(ShardStateSamplingTest, TheStepBeginsBeforeAnyEmbeddingHasCome) {
  auto run = SampledRunInStep1();
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  run->RunAll();
  EXPECT_THAT(run->head.begun, SizeIs(1));
  EXPECT_THAT(run->head.group_sizes, IsEmpty());
}

TEST(ShardStateSamplingTest, TheOrderInWhichLabelsComeIsNotThatInWhichTheStepBeginsWithThem) {
  auto run = SampledRunInStep1();
  for (const uint32_t m : {2u, 0u, 1u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  run->RunAll();
  EXPECT_THAT(run->head.begun, ElementsAre("step 1: 1 3 2 4 3"));
}

TEST(ShardStateSamplingTest, RepeatedLabelsBeginNothingTwice) {
  auto run = SampledRunInStep1();
  for (const uint32_t m : {0u, 0u, 1u, 1u, 1u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  EXPECT_FALSE(run->state.HasWork());  // five messages, but of two micro-batches
  ASSERT_TRUE(run->SendLabels(1, 2).ok());
  run->RunAll();
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  EXPECT_FALSE(run->state.HasWork());
  EXPECT_EQ(run->state.Labels(0, TestRun::KeyOf(1, 0), std::vector<int64_t>{1, 4}).code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(run->head.begun, ElementsAre("step 1: 1 3 2 4 3"));
}

TEST(ShardStateSamplingTest, LabelsOfTheNextStepThatCameEarlyBeginItAfterTheUpdate) {
  auto run = SampledRunInStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  for (const uint32_t m : {1u, 0u, 2u}) ASSERT_TRUE(run->SendLabels(2, m).ok());
  ASSERT_TRUE(run->SendEmbedding(2, 1).ok());
  EXPECT_EQ(run->state.load().early, 4u);
  EXPECT_FALSE(run->state.HasWork());
  ASSERT_TRUE(run->state.Decide(Commit(1)).ok());
  ASSERT_TRUE(run->state.RunOne().ok());
  EXPECT_THAT(run->head.updates, SizeIs(1));
  EXPECT_THAT(run->head.begun, SizeIs(1));
  EXPECT_EQ(run->state.load().early, 0u);
  run->RunAll();
  EXPECT_THAT(run->head.begun, ElementsAre("step 1: 1 3 2 4 3", "step 2: 1 3 2 4 3"));
  EXPECT_EQ(run->output.sent.back(), "worker 7 step 2 micro-batch 1");
}

// Worker 0 has as many micro-batches in flight as it may, and worker 7 has not sent its labels yet. The embeddings of
// worker 0 are kept, not refused, and answered when those labels arrive.
TEST(ShardStateSamplingTest, AWorkerWithAllInFlightThatItMayHaveWaitsForTheLabelsOfAnother) {
  auto run = SampledRunInStep1();
  for (const uint32_t m : {0u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  for (const uint32_t m : {0u, 2u}) ASSERT_TRUE(run->SendEmbedding(1, m).ok());
  EXPECT_EQ(run->state.load().in_flight, 2u);
  EXPECT_EQ(run->state.load().queued, 2u);
  EXPECT_EQ(run->state.load().log_bytes, 3 * (sizeof(int64_t) + kDim * sizeof(float)));  // of two samples and one
  EXPECT_TRUE(run->SendEmbedding(1, 0).ok());  // a repeat: the worker has lost its stream meanwhile
  EXPECT_EQ(run->state.load().repeats, 1u);
  EXPECT_FALSE(run->state.HasWork());
  ASSERT_TRUE(run->SendLabels(1, 1).ok());
  run->RunAll();
  EXPECT_THAT(run->output.sent, ElementsAre("worker 0 step 1 micro-batch 0", "worker 0 step 1 micro-batch 2"));
}

TEST(ShardStateSamplingTest, ASkippedStepAndTheOneAfterItBeginWithLabelsOfTheirOwn) {
  auto run = SampledRunInStep1();
  ASSERT_TRUE(run->SendStep(1).ok());
  ASSERT_TRUE(run->state.Decide(Skip(1)).ok());
  ASSERT_TRUE(run->state.Labels(0, TestRun::KeyOf(2, 0), std::vector<int64_t>{9, 8}).ok());
  ASSERT_TRUE(run->SendLabels(2, 1).ok());
  ASSERT_TRUE(run->SendLabels(2, 2).ok());
  run->RunAll();
  EXPECT_THAT(run->head.updates, ElementsAre("discard"));
  EXPECT_THAT(run->head.begun, ElementsAre("step 1: 1 3 2 4 3", "step 2: 9 8 2 4 3"));
}

TEST(ShardStateSamplingTest, AHeadThatCannotBeginEndsTheWorkWithItsError) {
  auto run = SampledRunInStep1();
  run->head.failure = absl::InternalError("the device is lost");
  for (const uint32_t m : {0u, 1u, 2u}) ASSERT_TRUE(run->SendLabels(1, m).ok());
  EXPECT_EQ(run->state.RunOne().message(), "the device is lost");
}

}  // namespace
}  // namespace arcshard::shard
