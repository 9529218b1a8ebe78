#include "common/config/run_config.h"

#include "gmock/gmock.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

using ::testing::ElementsAre;

TEST(RunConfigTest, ASetIsCalledAsItsFileIsUnlessItHasAName) {
  RunConfig::Verification verification;
  verification.sets = {"/a/lfw.bin", "/b/lfw.bin", "cfp", "/c/lfw.bin"};
  EXPECT_THAT(NamesOfSets(verification), ElementsAre("lfw", "lfw-2", "cfp", "lfw-3"));
  EXPECT_EQ(NameOfSet(verification, "/b/lfw.bin"), "lfw-2");
  verification.sets = {"/a/agedb_30/label.txt", "label.txt", "/b/lfw.v2.bin", "pairs.txt"};
  EXPECT_THAT(NamesOfSets(verification), ElementsAre("agedb_30", "label", "lfw.v2", "pairs"));
  verification.sets = {"/a/lfw.bin", "/b/lfw.bin", "cfp", "/c/lfw.bin"};
  verification.names = {"one", "two", "three", "four"};
  EXPECT_EQ(NameOfSet(verification, "/c/lfw.bin"), "four");
}

TEST(RunConfigTest, WhatASetIsCalledIsUtf8WhateverItsFile) {
  RunConfig::Verification verification;
  verification.sets = {"/w\xe4/v\xfc.bin", "/a/\xff/label.txt", "/a/l\xc3\xa4.bin"};
  EXPECT_THAT(NamesOfSets(verification), ElementsAre("v\\xfc", "\\xff", "l\xc3\xa4"));
  verification.names = {"b\xe4", "two", "three"};
  EXPECT_EQ(NameOfSet(verification, "/w\xe4/v\xfc.bin"), "b\\xe4");
}

TEST(RunConfigTest, LearningRatesForAnotherBatchAreScaledInProportion) {
  RunConfig config;
  config.data.batch_size = 1024;
  config.schedule.lr = 0.1;
  config.schedule.end_lr = 0.001;
  config.schedule.warmup_end_lr = 0.05;
  EXPECT_EQ(ScaledSchedule(config).lr, 0.1);
  config.schedule.lr_batch_size = 512;
  EXPECT_EQ(ScaledSchedule(config).lr, 0.2);
  EXPECT_EQ(ScaledSchedule(config).end_lr, 0.002);
  EXPECT_EQ(ScaledSchedule(config).warmup_end_lr, 0.1);
}

}  // namespace
}  // namespace arcshard
