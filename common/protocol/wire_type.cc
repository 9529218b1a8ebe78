#include "common/protocol/wire_type.h"

#include "common/base/bfloat16_arrays.h"

namespace arcshard {

WireType WireTypeOf(const RunConfig& config) {
  return config.cluster.wire == "bfloat16" ? WireType::kBfloat16 : WireType::kFloat32;
}

void RoundAsSent(WireType type, absl::Span<float> values) {
  if (type == WireType::kBfloat16) RoundToBfloat16(values);
}

}  // namespace arcshard
