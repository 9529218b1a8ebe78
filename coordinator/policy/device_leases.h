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

// Which replica had a device of a machine last.
struct DeviceMemory {
  std::string machine;
  std::string uuid;
  std::string replica;
  friend bool operator==(const DeviceMemory&, const DeviceMemory&) = default;
};

// Which shard computes on which GPU (coordinator.proto, DeviceRequest). Devices are told apart by machine and uuid.
//
// A request gets, of the devices that it may have, the one that holds its shard's state; else one that nobody has, or,
// if all holders and the request say that they share, one with the fewest holders. Of several: the one that was its
// replica's last, then one that was nobody's yet, so that two who restart at once don't take each other's. Then the
// first. Not thread-safe.
class DeviceLeases {
 public:
  using Holder = uint64_t;  // one life of a participant

  // `memory`: of an earlier life of the coordinator.
  explicit DeviceLeases(std::vector<DeviceMemory> memory = {}) : memory_(std::move(memory)) {}

  // The device that is `holder`'s until Release; a holder that asks again gets the same. `name` says who that is in the
  // messages to others. Errors as coordinator.proto has them.
  absl::StatusOr<VisibleDevice> Lease(Holder holder, absl::string_view name, const DeviceRequest& request);

  // Nothing happens if it has none.
  void Release(Holder holder);

  // In the order of the first lease; one entry per device, or several while it is shared.
  const std::vector<DeviceMemory>& memory() const { return memory_; }

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
  bool WasOf(const DeviceRequest& request, absl::string_view uuid) const;
  bool WasAnybodys(absl::string_view machine, absl::string_view uuid) const;
  void Remember(const DeviceRequest& request, const std::string& uuid);

  std::map<Holder, Held> held_;
  std::vector<DeviceMemory> memory_;
};

}  // namespace arcshard::coordinator
