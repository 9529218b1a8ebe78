#pragma once

#include <array>
#include <cstdint>

#include "absl/functional/function_ref.h"

namespace arcshard::head {

// A warp on the processor of the host: 32 lanes, each with a stack of its own, which take turns in one thread. A lane
// runs until it ends or exchanges a value with the others. The process ends with a message if some lanes end or leave
// themselves out while others exchange values, which a GPU leaves undefined.
class HostWarp {
 public:
  static constexpr unsigned kLanes = 32;
  using Values = std::array<uint64_t, kLanes>;

  // Runs `body` once in each lane, lane 0 first. Each time before a lane goes on, calls `enter` with it.
  static void Run(absl::FunctionRef<void(unsigned lane)> enter, absl::FunctionRef<void()> body);

  // Called by a lane: waits until all lanes have called it, and returns what each of them gave. The result is valid
  // until the lane calls Exchange again. Requires `mask` to name every lane.
  static const Values& Exchange(unsigned mask, uint64_t value);
};

}  // namespace arcshard::head
