#include "shard_server/head_from_config.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "common/config/head_memory.h"
#include "shard_server/head/cpu/block_plan.h"
#include "shard_server/head/cpu/kept/kept_exponentials.h"
#include "shard_server/head/cpu/kernels/products.h"

namespace arcshard::shard {
namespace {

constexpr ClassRange kRange = {100, 350};
constexpr int64_t kClasses = 1000;

head::HeadOptions Of(const RunConfig& config, const DeviceName& device = {}) {
  return HeadOptionsOf(config, kClasses, kRange, device);
}

TEST(HeadFromConfigTest, ByDefaultARunIsFloat32SgdOnTheCpuOverAllClasses) {
  const head::HeadOptions options = Of(RunConfig());
  EXPECT_EQ(options.num_classes, kClasses);
  EXPECT_EQ(options.range, kRange);
  EXPECT_EQ(options.dim, 512);
  EXPECT_EQ(options.scale, 64.0f);
  EXPECT_EQ(options.filter, 1.0f);
  EXPECT_EQ(options.sample_rate, 1.0);
  EXPECT_EQ(options.seed, 1u);
  ASSERT_TRUE(std::holds_alternative<head::SgdOptions>(options.optimizer));
  EXPECT_EQ(std::get<head::SgdOptions>(options.optimizer).momentum, 0.9f);
  EXPECT_EQ(std::get<head::SgdOptions>(options.optimizer).weight_decay, 5e-4f);
  EXPECT_EQ(options.compute, head::DataType::kFloat32);
  EXPECT_EQ(options.weights, head::DataType::kFloat32);
  EXPECT_EQ(options.moments, head::DataType::kFloat32);
  EXPECT_EQ(options.device, head::Device::kCpu);
  EXPECT_EQ(options.threads, 1);
  EXPECT_EQ(options.exp_budget_bytes, HeadBytesOfRange(RunConfig(), kRange.size()).kept);
}

TEST(HeadFromConfigTest, EveryKeyOfTheHeadReachesIt) {
  RunConfig config;
  config.backbone.embedding_size = 24;
  config.head.scale = 30;
  config.head.filter = 0.4;
  config.head.sample_rate = 0.1;
  config.run.seed = 77;
  config.head.compute = "bfloat16";
  config.head.exp_budget_mb = 3;
  config.cluster.shard_threads = 5;
  head::HeadOptions options = Of(config, {.cuda = true, .index = 2});
  EXPECT_EQ(options.dim, 24);
  EXPECT_EQ(options.scale, 30.0f);
  EXPECT_EQ(options.filter, 0.4f);
  EXPECT_EQ(options.sample_rate, 0.1);
  EXPECT_EQ(options.seed, 77u);
  EXPECT_EQ(options.compute, head::DataType::kBfloat16);
  EXPECT_EQ(options.weights, head::DataType::kFloat32);
  EXPECT_EQ(options.moments, head::DataType::kFloat32);
  EXPECT_EQ(options.exp_budget_bytes, HeadBytesOfRange(config, kRange.size()).kept);
  EXPECT_EQ(options.threads, 5);
  EXPECT_EQ(options.device, head::Device::kCuda);
  EXPECT_EQ(options.device_index, 2);
  config.head.compute = "float32";
  config.head.weights = "bfloat16";
  options = Of(config);
  EXPECT_EQ(options.compute, head::DataType::kFloat32);
  EXPECT_EQ(options.weights, head::DataType::kBfloat16);
  EXPECT_EQ(options.moments, head::DataType::kFloat32);
  config.head.weights = "float32";
  config.head.moments = "bfloat16";
  options = Of(config);
  EXPECT_EQ(options.weights, head::DataType::kFloat32);
  EXPECT_EQ(options.moments, head::DataType::kBfloat16);
}

TEST(HeadFromConfigTest, TheOptimizerIsTheRunsWithItsOwnKeys) {
  RunConfig config;
  config.optimizer = {.kind = "adamw", .momentum = 0.5, .beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-6};
  config.optimizer.weight_decay = 0.05;
  const head::HeadOptions options = Of(config);
  ASSERT_TRUE(std::holds_alternative<head::AdamWOptions>(options.optimizer));
  const head::AdamWOptions& adamw = std::get<head::AdamWOptions>(options.optimizer);
  EXPECT_EQ(adamw.beta1, 0.8);
  EXPECT_EQ(adamw.beta2, 0.95);
  EXPECT_EQ(adamw.epsilon, 1e-6f);
  EXPECT_EQ(adamw.weight_decay, 0.05f);
  config.optimizer.kind = "sgd";
  EXPECT_EQ(std::get<head::SgdOptions>(Of(config).optimizer).momentum, 0.5f);
  EXPECT_EQ(std::get<head::SgdOptions>(Of(config).optimizer).weight_decay, 0.05f);
}

// The coordinator plans ranges by HeadBytesOfRange; the shard refuses a range that is too large by RequiredBytes.
TEST(HeadFromConfigTest, TheCoordinatorCountsTheBytesThatTheHeadTakes) {
  RunConfig config;
  for (const char* optimizer : {"sgd", "adamw"}) {
    for (const char* weights : {"float32", "bfloat16"}) {
      for (const char* moments : {"float32", "bfloat16"}) {
        for (const int dim : {1, 7, 512}) {
          config.optimizer.kind = optimizer;
          config.head.weights = weights;
          config.head.moments = moments;
          config.backbone.embedding_size = dim;
          const HeadRangeBytes counted = HeadBytesOfRange(config, kRange.size());
          EXPECT_EQ(head::Head::RequiredBytes(Of(config)), counted.rows + counted.kept)
              << optimizer << ", weights " << weights << ", moments " << moments << ", " << dim << " dimensions";
        }
      }
    }
  }
}

TEST(HeadFromConfigTest, FewClassesFitASmallCapacityWithTheDefaultBudget) {
  const RunConfig config;
  const head::HeadOptions options = HeadOptionsOf(config, 40, {0, 40}, DeviceName());
  EXPECT_LT(head::Head::RequiredBytes(options), 1 << 20);
  EXPECT_TRUE(head::Head::Create(options, 1 << 20).ok());
}

// Whether the bytes that are counted for a batch hold the exponentials of all its micro-batches.
bool KeepsAll(const RunConfig& config, int64_t classes) {
  const head::BlockPlan plan =
      head::BlockPlan::Make(classes, config.backbone.embedding_size, config.cluster.shard_threads);
  head::KeptExponentials kept;
  EXPECT_TRUE(kept.Init(HeadExponentialBytes(config, classes)).ok());
  bool all = true;
  for (int64_t left = config.data.batch_size, group = 0; left > 0; ++group) {
    const int64_t samples = std::min<int64_t>(left, config.data.micro_batch_size);
    const int64_t bytes = config.head.compute == "bfloat16" ? 2 : 4;
    kept.AddGroup(samples, plan, head::RoundedUp(samples, head::kRowUnit) * bytes);
    for (size_t b = 0; b < plan.blocks.size(); ++b) {
      all &= kept.Slot(group, static_cast<int64_t>(b), plan.blocks[b]) != nullptr;
    }
    left -= samples;
  }
  return all;
}

TEST(HeadFromConfigTest, WhatIsCountedForExponentialsHoldsThoseOfAWholeBatchHoweverItIsDivided) {
  RunConfig config;
  for (const int dim : {1, 64, 512, 4096}) {
    for (const int threads : {1, 2, 3, 7}) {
      for (const int64_t classes : {1, 15, 16, 17, 1000, 2064, 4099}) {
        for (const auto& [batch, micro_batch] :
             std::vector<std::pair<uint32_t, uint32_t>>{{2, 1}, {128, 64}, {33, 32}, {100, 7}}) {
          config.backbone.embedding_size = dim;
          config.cluster.shard_threads = threads;
          config.data.batch_size = batch;
          config.data.micro_batch_size = micro_batch;
          config.head.compute = threads == 2 ? "bfloat16" : "float32";
          EXPECT_TRUE(KeepsAll(config, classes)) << dim << " dimensions, " << threads << " threads, " << classes
                                                 << " classes, " << batch << "/" << micro_batch;
        }
      }
    }
  }
}

}  // namespace
}  // namespace arcshard::shard
