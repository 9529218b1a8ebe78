#pragma once

#include <bit>
#include <cstdint>

#include "common/base/philox.h"
#include "common/protocol/types.h"

namespace arcshard {

// Extends the lineage of DESIGN §3, a hash over all decisions in order, by one decision. Participants with the same
// lineage have received the same decisions. It is 0 before the first one. Neither `next` nor the counters are part of
// it.
inline uint64_t ExtendLineage(uint64_t lineage, const Decision& decision) {
  for (const uint64_t field : {decision.view.incarnation, decision.view.counter, decision.step,
                               static_cast<uint64_t>(decision.outcome), std::bit_cast<uint64_t>(decision.lr)}) {
    const auto words = Philox(lineage, field, 0);
    lineage = (static_cast<uint64_t>(words[1]) << 32) | words[0];
  }
  return lineage;
}

}  // namespace arcshard
