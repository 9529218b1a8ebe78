#include "shard_server/head_from_config.h"

#include "common/config/head_memory.h"

namespace arcshard::shard {
namespace {

head::DataType DataTypeOf(const std::string& name) {
  return name == "bfloat16" ? head::DataType::kBfloat16 : head::DataType::kFloat32;
}

}  // namespace

head::HeadOptions HeadOptionsOf(const RunConfig& config, int64_t num_classes, ClassRange range,
                                const DeviceName& device) {
  head::HeadOptions options;
  options.num_classes = num_classes;
  options.range = range;
  options.dim = config.backbone.embedding_size;
  options.scale = static_cast<float>(config.head.scale);
  options.filter = static_cast<float>(config.head.filter);
  options.sample_rate = config.head.sample_rate;
  options.seed = config.run.seed;
  const RunConfig::Optimizer& optimizer = config.optimizer;
  const float weight_decay = static_cast<float>(optimizer.weight_decay);
  if (optimizer.kind == "adamw") {
    options.optimizer =
        head::AdamWOptions{optimizer.beta1, optimizer.beta2, static_cast<float>(optimizer.epsilon), weight_decay};
  } else {
    options.optimizer = head::SgdOptions{static_cast<float>(optimizer.momentum), weight_decay};
  }
  options.compute = DataTypeOf(config.head.compute);
  options.weights = DataTypeOf(config.head.weights);
  options.moments = DataTypeOf(config.head.moments);
  options.device = device.cuda ? head::Device::kCuda : head::Device::kCpu;
  options.device_index = device.index;
  options.threads = config.cluster.shard_threads;
  options.exp_budget_bytes = HeadBytesOfRange(config, range.size()).kept;
  return options;
}

}  // namespace arcshard::shard
