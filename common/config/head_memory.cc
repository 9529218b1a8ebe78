#include "common/config/head_memory.h"

namespace arcshard {
namespace {

int64_t BytesOf(const std::string& type) { return type == "bfloat16" ? 2 : 4; }

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

int64_t HeadBytesPerExponential(const RunConfig& config) { return BytesOf(config.head.compute); }

}  // namespace arcshard
