#include "common/protocol/best_verification.h"

#include <limits>

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;

VerificationReport Set(const std::string& name, double accuracy) {
  return {.name = name, .accuracy = accuracy, .pairs = 6000};
}

TEST(BestVerificationTest, IsTheEarliestOfTheBestMeans) {
  BestVerification best;
  EXPECT_TRUE(best.Take(5, {Set("lfw", 0.5), Set("cfp", 0.75)}));
  EXPECT_FALSE(best.Take(10, {Set("lfw", 0.75), Set("cfp", 0.5)}));
  EXPECT_FALSE(best.Take(15, {Set("lfw", 0.5), Set("cfp", 0.5)}));
  EXPECT_EQ(best.step, 5u);
  EXPECT_EQ(best.accuracy, 0.625);
  EXPECT_TRUE(best.Take(20, {Set("lfw", 0.75), Set("cfp", 0.75)}));
  EXPECT_EQ(best.step, 20u);
}

TEST(BestVerificationTest, BeginsAnewWithOtherSets) {
  BestVerification best;
  EXPECT_TRUE(best.Take(5, {Set("lfw", 0.9)}));
  EXPECT_TRUE(best.Take(10, {Set("lfw", 0.9), Set("cfp", 0.3)})) << "the mean of two sets, one of which is hard";
  EXPECT_EQ(best.step, 10u);
  EXPECT_DOUBLE_EQ(best.accuracy, 0.6);
  EXPECT_TRUE(best.Take(15, {Set("cfp", 0.2)}));
  EXPECT_THAT(best.sets, ElementsAre("cfp"));
}

TEST(BestVerificationTest, ThatOfACheckpointWithoutNamesIsCompared) {
  BestVerification best{.accuracy = 0.9, .step = 5};
  EXPECT_FALSE(best.Take(10, {Set("lfw", 0.8)}));
  EXPECT_EQ(best.step, 5u);
  EXPECT_TRUE(best.Take(15, {Set("lfw", 0.95)}));
}

TEST(BestVerificationTest, WhatIsNoNumberIsNeverTheBest) {
  BestVerification best;
  EXPECT_FALSE(best.Take(5, {Set("lfw", std::numeric_limits<double>::quiet_NaN())}));
  EXPECT_EQ(best.accuracy, 0.0);
  EXPECT_TRUE(best.Take(10, {Set("lfw", 0.5)}));
}

}  // namespace
}  // namespace arcshard
