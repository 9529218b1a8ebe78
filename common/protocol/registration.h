#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/protocol/types.h"

// How a participant introduces itself to the coordinator (coordinator.proto, Register).
namespace arcshard {

enum class Role { kShard, kWorker };

// A GPU that a shard may compute on.
struct VisibleDevice {
  std::string uuid;             // the driver's
  std::string name = {};        // of the model
  uint64_t capacity_bytes = 0;  // replaces Registration::capacity_bytes on this GPU; 0: does not replace it
  friend bool operator==(const VisibleDevice&, const VisibleDevice&) = default;
};

// Asks the coordinator to lease one of `devices`.
struct DeviceRequest {
  std::string machine;                 // the same for all containers of one machine
  std::string replica;                 // the same after a restart
  std::vector<VisibleDevice> devices;  // the preferred one first
  std::string held = {};               // uuid of the GPU that holds the shard's state; empty: none does
  bool share = false;                  // may be shared with others that set it too
  friend bool operator==(const DeviceRequest&, const DeviceRequest&) = default;
};

// What a process holds of a run that it has taken part in (coordinator.proto, Held).
struct HeldState {
  View view = {};                               // the newest that was announced to it
  std::vector<int64_t> range_ends;              // of that view's shards, by id; the first range begins at 0
  std::vector<uint32_t> workers;                // of that view, ascending
  StatePoint state = {};                        // that it holds
  bool whole = false;                           // false: its state is being rebuilt, and `state` is how far it has come
  uint64_t voted_step = 0;                      // the step that it has voted on and can still apply; 0: none
  std::optional<Decision> last = std::nullopt;  // the newest decision that it knows
  RunCounters counters = {};                    // the latest that it knows
  std::optional<StatePoint> log_base = std::nullopt;  // shards: its log has every record after this point; none: no log
  friend bool operator==(const HeldState&, const HeldState&) = default;
};

struct Registration {
  Role role = Role::kShard;
  std::string address;                                         // host:port where it listens
  std::string host;                                            // for messages
  int64_t pid = 0;                                             // for messages
  uint64_t capacity_bytes = 0;                                 // shards
  std::optional<DeviceRequest> device_request = std::nullopt;  // shards on a GPU
  std::optional<HeldState> held = std::nullopt;                // what it holds of this run; none: nothing
  uint32_t id = 0;                                             // that it had, with `token`
  std::string token = {};  // from its last Welcome: it is the same process; empty: it had none
  bool spare = false;      // shards: it waits until a place becomes free
  friend bool operator==(const Registration&, const Registration&) = default;
};

}  // namespace arcshard
