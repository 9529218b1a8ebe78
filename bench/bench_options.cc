#include "bench/bench_options.h"

#include "common/base/device_name.h"
#include "common/base/status_macros.h"

namespace arcshard::bench {
namespace {

head::DataType DataTypeOf(const std::string& name) {
  return name == "bfloat16" ? head::DataType::kBfloat16 : head::DataType::kFloat32;
}

}  // namespace

absl::StatusOr<head::HeadOptions> HeadOptionsOf(const BenchOptions& options) {
  ASSIGN_OR_RETURN(const DeviceName device, ParseDeviceName(options.device));
  head::HeadOptions head;
  head.num_classes = options.classes;
  head.range = {0, options.classes};
  head.dim = options.dim;
  head.sample_rate = options.sample_rate;
  if (options.optimizer == "adamw") head.optimizer = head::AdamWOptions();
  head.compute = DataTypeOf(options.compute);
  head.weights = DataTypeOf(options.weights);
  head.moments = DataTypeOf(options.moments);
  head.device = device.cuda ? head::Device::kCuda : head::Device::kCpu;
  head.device_index = device.index;
  head.threads = options.threads;
  head.exp_budget_bytes = options.exp_budget_mb << 20;
  return head;
}

}  // namespace arcshard::bench
