#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/statusor.h"
#include "common/protocol/types.h"

namespace arcshard::shard {

// Where the decisions have led a range: its state as a point, and the decision that led there. Thread-compatible.
class DecisionHistory {
 public:
  enum class Order { kNext, kRepeated };

  // The range's state is unknown from now on.
  void Forget();
  // Its state is `point`, because it was restored or replayed, and not by a decision that came here.
  void MoveTo(const StatePoint& point);
  // The decision that led to the state, as another process knows it. Requires: it leads to point().
  void Learn(const Decision& decision);

  // Whether the decision follows the state, or repeats the last one. FailedPrecondition: it is older, or steps are
  // missing before it. AlreadyExists: it repeats the last step with other contents. Internal: its lineage is not that
  // of the state after it. Requires: the state is known.
  absl::StatusOr<Order> Check(const Decision& decision) const;

  // Requires: Check says kNext.
  void Add(const Decision& decision);

  const std::optional<StatePoint>& point() const { return point_; }  // nullopt: no state is held
  const std::optional<Decision>& last() const { return last_; }      // that led to point(), if it is known

 private:
  std::optional<StatePoint> point_;
  std::optional<Decision> last_;
};

}  // namespace arcshard::shard
