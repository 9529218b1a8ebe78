#include "shard_server/head_from_config.h"

#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "common/config/head_memory.h"

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
  EXPECT_EQ(options.exp_budget_bytes, int64_t{256} << 20);
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
  EXPECT_EQ(options.exp_budget_bytes, int64_t{3} << 20);
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

// The coordinator plans ranges by HeadBytesPerClass; the shard refuses a range that is too large by RequiredBytes.
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
          const head::HeadOptions options = Of(config);
          EXPECT_EQ(head::Head::RequiredBytes(options) - options.exp_budget_bytes,
                    kRange.size() * HeadBytesPerClass(config))
              << optimizer << ", weights " << weights << ", moments " << moments << ", " << dim << " dimensions";
        }
      }
    }
  }
}

}  // namespace
}  // namespace arcshard::shard
