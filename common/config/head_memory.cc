#include "common/config/head_memory.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

namespace arcshard {
namespace {

constexpr int64_t kUnit = 16;  // a product's rows and columns are multiples of this (shard_server/head/cpu/kernels)
// A thread takes about 20 ms for it at B = 256, which is longer than a shard waits for a decision where workers don't
// have to compute meanwhile.
constexpr int64_t kEarlyGradient = int64_t{16} << 20;
constexpr int64_t kLargest = std::numeric_limits<int64_t>::max();

int64_t BytesOf(const std::string& type) { return type == "bfloat16" ? 2 : 4; }

int64_t RoundedUp(int64_t n) { return n > kLargest - kUnit ? kLargest : (n + kUnit - 1) / kUnit * kUnit; }

int64_t Product(int64_t a, int64_t b) {
  int64_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? kLargest : product;
}

// The samples of a batch, each micro-batch's rounded up.
int64_t PaddedSamples(const RunConfig& config) {
  const int64_t batch = config.data.batch_size, micro_batch = config.data.micro_batch_size;
  return batch / micro_batch * RoundedUp(micro_batch) + RoundedUp(batch % micro_batch);
}

// A number of classes that no step exceeds: with sampling, the targets and those drawn. The draw is ten standard
// deviations from its mean less often than once in 10^22 steps.
int64_t MostClassesInStep(const RunConfig& config, int64_t classes) {
  const double rate = config.head.sample_rate, all = static_cast<double>(classes);
  if (rate >= 1.0) return classes;
  const double most =
      std::ceil(all * rate + 10.0 * std::sqrt(all * rate * (1.0 - rate)) + 10.0 + config.data.batch_size);
  return most >= all ? classes : static_cast<int64_t>(most);
}

}  // namespace

HeadBytes HeadBytesOfAClass(const RunConfig& config) {
  const bool adamw = config.optimizer.kind == "adamw";
  const int64_t dim = config.backbone.embedding_size;
  return {.weights = dim * BytesOf(config.head.weights),
          .moments = dim * (adamw ? 2 : 1) * BytesOf(config.head.moments),
          .count = adamw ? int64_t{sizeof(uint32_t)} : 0,
          .inverse_norm = sizeof(float)};
}

int64_t HeadBytesPerClass(const RunConfig& config) {
  const HeadBytes bytes = HeadBytesOfAClass(config);
  return bytes.weights + bytes.moments + bytes.count + bytes.inverse_norm;
}

int64_t HeadExponentialBytes(const RunConfig& config, int64_t classes_in_step) {
  return Product(RoundedUp(classes_in_step), PaddedSamples(config) * BytesOf(config.head.compute));
}

int64_t HeadKeptBytes(const RunConfig& config, int64_t classes_in_step) {
  const int64_t row = config.backbone.embedding_size * int64_t{sizeof(float)};
  const int64_t gradient = std::min(Product(RoundedUp(classes_in_step), row), kEarlyGradient);
  const int64_t exponentials = HeadExponentialBytes(config, classes_in_step);
  const int64_t budget = config.head.exp_budget_mb << 20;
  return exponentials >= budget ? budget : std::min(exponentials + gradient, budget);
}

HeadRangeBytes HeadBytesOfRange(const RunConfig& config, int64_t classes) {
  return {.rows = Product(classes, HeadBytesPerClass(config)),
          .kept = HeadKeptBytes(config, MostClassesInStep(config, classes))};
}

int64_t ReplayLogBytes(const RunConfig& config, int64_t shards) { return shards < 2 ? 0 : config.cluster.log_mb << 20; }

}  // namespace arcshard
