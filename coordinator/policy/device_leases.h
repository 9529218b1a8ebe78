#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/protocol/messages.h"

namespace arcshard::coordinator {

// The replica that a GPU was last leased to.
struct PastLease {
  std::string machine;
  std::string uuid;
  std::string replica;
  friend bool operator==(const PastLease&, const PastLease&) = default;
};
// In the order of the first leases. A GPU has one entry, or several while it is shared.
using LeaseHistory = std::vector<PastLease>;

// Decides which shard computes on which GPU (coordinator.proto, DeviceRequest). Machine and uuid identify a device.
//
// If a device holds the shard's state, the request gets that one or is refused. Otherwise it gets a device without a
// holder or, if the request and all holders agree to share, one with the fewest holders. Among several such devices it
// gets the one that its replica had last; else one that no replica has had, so that two shards which restart at once do
// not take each other's; else the first. Not thread-safe.
class DeviceLeases {
 public:
  using Holder = uint64_t;  // one life of a participant

  // `history`: as an earlier life of the coordinator left it.
  explicit DeviceLeases(LeaseHistory history = {}) : history_(std::move(history)) {}

  // Leases a device to `holder` until Release; a holder that asks again gets the same one. `name` is what error
  // messages to others call it. The errors are those of coordinator.proto.
  absl::StatusOr<VisibleDevice> Lease(Holder holder, absl::string_view name, const DeviceRequest& request);

  // Nothing happens if it has none.
  void Release(Holder holder);

  const LeaseHistory& history() const { return history_; }

 private:
  struct Held {
    std::string machine;
    VisibleDevice device;
    std::string name;
    bool share = false;
  };

  std::vector<const Held*> HoldersOf(absl::string_view machine, absl::string_view uuid) const;
  const VisibleDevice* Choose(const DeviceRequest& request) const;
  absl::Status NoneIsLeft(absl::string_view name, const DeviceRequest& request) const;
  bool WasItsOwn(const DeviceRequest& request, absl::string_view uuid) const;
  bool WasLeased(absl::string_view machine, absl::string_view uuid) const;
  void Remember(const DeviceRequest& request, const std::string& uuid);

  std::map<Holder, Held> held_;
  LeaseHistory history_;
};

}  // namespace arcshard::coordinator
