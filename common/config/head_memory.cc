#include "common/config/head_memory.h"

namespace arcshard {
namespace {

int64_t BytesOf(const std::string& type) { return type == "bfloat16" ? 2 : 4; }

}  // namespace

int64_t HeadBytesPerClass(const RunConfig& config) {
  const bool adamw = config.optimizer.kind == "adamw";
  const int64_t row = BytesOf(config.head.weights) + (adamw ? 2 : 1) * BytesOf(config.head.moments);
  const int64_t inverse_norm = sizeof(float), count = adamw ? sizeof(uint32_t) : 0;
  return config.backbone.embedding_size * row + inverse_norm + count;
}

int64_t HeadBytesPerExponential(const RunConfig& config) { return BytesOf(config.head.compute); }

}  // namespace arcshard
