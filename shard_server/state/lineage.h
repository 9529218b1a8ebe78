#pragma once

#include <bit>
#include <cstdint>

#include "common/base/philox.h"
#include "common/protocol/types.h"

namespace arcshard::shard {

// The lineage of DESIGN §3, a hash over all decisions in order: `lineage` of those before, extended by one. Two that
// hold the same value have applied the same decisions. 0 before the first.
inline uint64_t ExtendLineage(uint64_t lineage, const Decision& decision) {
  for (const uint64_t field : {decision.view.incarnation, decision.view.counter, decision.step,
                               static_cast<uint64_t>(decision.outcome), std::bit_cast<uint64_t>(decision.lr)}) {
    const auto words = Philox(lineage, field, 0);
    lineage = (static_cast<uint64_t>(words[1]) << 32) | words[0];
  }
  return lineage;
}

}  // namespace arcshard::shard
