#include "common/config/check_resumable.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "gtest/gtest.h"

namespace arcshard {
namespace {

std::string ErrorWith(const std::function<void(RunConfig&)>& change) {
  RunConfig now;
  change(now);
  const absl::Status status = CheckResumable(now, RunConfig());
  EXPECT_TRUE(status.ok() || absl::IsFailedPrecondition(status)) << status;
  return std::string(status.message());
}

TEST(CheckResumableTest, WhatMakesTheStateMustBeTheSame) {
  struct Case {
    const char* key;
    std::function<void(RunConfig&)> change;
  };
  const std::vector<Case> cases = {
      {"run.seed", [](RunConfig& c) { c.run.seed = 2; }},
      {"data.batch_size", [](RunConfig& c) { c.data.batch_size = 256; }},
      {"data.micro_batch_size", [](RunConfig& c) { c.data.micro_batch_size = 32; }},
      {"data.last_batch", [](RunConfig& c) { c.data.last_batch = "keep"; }},
      {"data.image_size", [](RunConfig& c) { c.data.image_size = 64; }},
      {"backbone.name", [](RunConfig& c) { c.backbone.name = "iresnet18"; }},
      {"backbone.width", [](RunConfig& c) { c.backbone.width = 32; }},
      {"backbone.embedding_size", [](RunConfig& c) { c.backbone.embedding_size = 256; }},
      {"head.weights", [](RunConfig& c) { c.head.weights = "bfloat16"; }},
      {"head.moments", [](RunConfig& c) { c.head.moments = "bfloat16"; }},
      {"optimizer.kind", [](RunConfig& c) { c.optimizer.kind = "adamw"; }},
  };
  for (const Case& one : cases) {
    EXPECT_TRUE(absl::StartsWith(ErrorWith(one.change), std::string(one.key) + " is ")) << ErrorWith(one.change);
  }
  EXPECT_EQ(ErrorWith(cases[1].change),
            "data.batch_size is 256, but was 128 when the checkpoint was made, and a run resumes only with the same; "
            "init_from.checkpoint starts a new one from it");
}

TEST(CheckResumableTest, HowTheRunContinuesMayChange) {
  EXPECT_EQ(ErrorWith([](RunConfig& c) {
              c.run.folder = "elsewhere";
              c.cluster.shards = 5;
              c.cluster.wire = "bfloat16";
              c.schedule.epochs = 40;
              c.schedule.lr = 0.2;
              c.loss.m = 0.3;
              c.optimizer.momentum = 0.8;
              c.head.sample_rate = 0.1;
              c.checkpoint.every_steps = 7;
            }),
            "");
}

TEST(CheckResumableTest, TheNumberOfClassesMayBeLeftToTheData) {
  RunConfig then;
  then.head.classes = 964;
  RunConfig now;
  EXPECT_TRUE(CheckResumable(now, then).ok());
  EXPECT_TRUE(CheckResumable(then, now).ok());
  now.head.classes = 965;
  EXPECT_TRUE(absl::StartsWith(CheckResumable(now, then).message(), "head.classes is 965, but was 964"));
}

TEST(DescribeChangesTest, NamesEachKeyThatDiffersButNotTheRunsFolder) {
  RunConfig now, then;
  now.run.folder = "moved";
  EXPECT_TRUE(DescribeChanges(now, then).empty());
  now.schedule.epochs = 3;
  then.schedule.epochs = 2;
  now.verification.sets = {"lfw.bin"};
  EXPECT_EQ(DescribeChanges(now, then),
            (std::vector<std::string>{"schedule.epochs is 3, was 2", "verification.sets is [lfw.bin], was []"}));
}

}  // namespace
}  // namespace arcshard
