#include "common/config/compute_fingerprint.h"

#include <gtest/gtest.h>

#include <set>

#include "common/config/schema.h"

namespace arcshard {
namespace {

TEST(ComputeFingerprintTest, WhatDeterminesNumbersChangesIt) {
  std::set<uint64_t> seen = {ComputeFingerprint(RunConfig())};
  const auto expect_new = [&seen](auto change) {
    RunConfig config;
    change(config);
    EXPECT_TRUE(seen.insert(ComputeFingerprint(config)).second);
  };
  expect_new([](RunConfig& config) { config.run.seed = 2; });
  expect_new([](RunConfig& config) { config.run.deterministic = true; });
  expect_new([](RunConfig& config) { config.data.micro_batch_size = 7; });
  expect_new([](RunConfig& config) { config.head.scale = 30; });
  expect_new([](RunConfig& config) { config.loss.m = 0.1; });
  expect_new([](RunConfig& config) { config.optimizer.weight_decay = 0.25; });
  expect_new([](RunConfig& config) { config.init_from.checkpoint = "/there"; });
  expect_new([](RunConfig& config) { config.cluster.worker_threads = 5; });
  expect_new([](RunConfig& config) { config.cluster.wire = "bfloat16"; });
}

TEST(ComputeFingerprintTest, WhatARunMayChangeWithoutOtherNumbersDoesNot) {
  RunConfig config;
  config.run.folder = "/elsewhere";
  config.run.record = true;
  config.data.train = "/moved/train.rec";
  config.schedule.epochs = 3;
  config.schedule.lr = 0.5;
  config.verification.sets = {"lfw.bin"};
  config.checkpoint.every_steps = 5;
  config.cluster.shards = 7;
  config.cluster.workers = 7;
  config.cluster.log_mb = 7;
  EXPECT_EQ(ComputeFingerprint(config), ComputeFingerprint(RunConfig()));
}

TEST(ComputeFingerprintTest, EveryKeyIsOfOneKindOrTheOther) {
  // A key that is renamed would silently begin to matter: so many do not.
  RunConfig config;
  size_t others = 0, all = 0;
  for (const ConfigKey& key : ConfigKeys(&config)) {
    ++all;
    if (bool* const* const flag = std::get_if<bool*>(&key.value); flag != nullptr) {
      const uint64_t before = ComputeFingerprint(config);
      **flag = !**flag;
      others += ComputeFingerprint(config) == before ? 1 : 0;
      **flag = !**flag;
    }
  }
  EXPECT_GT(all, 80u);
  EXPECT_EQ(others, 4u) << "record, tensorboard, log_samples, keep_best";
}

}  // namespace
}  // namespace arcshard
