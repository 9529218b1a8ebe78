#pragma once

#include <cstdint>

#include "absl/types/span.h"
#include "common/config/run_config.h"

namespace arcshard {

// The type in which a step's large tensors travel between workers and shards: embeddings, U and the own centers
// (DESIGN §1, On the wire). The other tensors of floats, and what shards send each other, are float32 in any case.
enum class WireType { kFloat32, kBfloat16 };

// The one that cluster.wire names.
WireType WireTypeOf(const RunConfig& config);

// Bytes of a value.
constexpr int64_t BytesOfValue(WireType type) { return type == WireType::kBfloat16 ? 2 : 4; }

// Gives the values the precision that they have after they were sent, whether or not they will be.
void RoundAsSent(WireType type, absl::Span<float> values);

}  // namespace arcshard
