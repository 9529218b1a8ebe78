#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/base/token.h"
#include "common/protocol/messages.h"
#include "coordinator/policy/decisions.h"
#include "coordinator/policy/device_leases.h"
#include "coordinator/policy/recent_phases.h"
#include "coordinator/run/connection.h"

namespace arcshard::coordinator {

// "worker (pid 123 on host)": for a participant that has no id.
std::string NameOf(const Registration& registration);

// A participant that the run has accepted.
struct Member {
  Registration registration;  // with the capacity of the GPU that is leased to it
  uint32_t id = 0;            // within its role
  std::string token = {};
  std::string device = {};  // uuid of the GPU that is leased to it; empty: none
  MonotonicTime registered;
  MonotonicTime last_heard;
  std::optional<DatasetReport> data = std::nullopt;  // workers, once reported
  ParticipantStats stats = {};                       // the latest
  RecentPhases recent = {};
  bool failed = false;       // it has reported a Failure: its stream may end without being a death of its own
  std::string leaving = {};  // what has told it to end, "SIGTERM"; empty: nothing has

  Seat seat() const { return {registration.role, id}; }
  std::string Name() const;  // "worker 1 (pid 123 on host)"
};

// The members of a run: who is connected, under which id and token, with which GPU, and when each was last heard.
// The id of a member that was removed is given to the next one of its role. Not thread-safe.
class Membership {
 public:
  struct Options {
    uint32_t shards = 0;  // wanted
    uint32_t workers = 0;
    std::function<std::string()> new_token = NewToken;
    LeaseHistory lease_history = {};  // of the run's earlier lives
  };

  explicit Membership(Options options);

  // Makes the sender of `registration` a member, with the role's lowest free id, and leases it a GPU if it asks for
  // one. Requires: `from` is no member. The pointer is valid until the member is removed. InvalidArgument: no address
  // to connect to; a shard without capacity; a worker asks for a GPU; the request is malformed. FailedPrecondition: it
  // holds the state of another run, or the role has all its members. ResourceExhausted: no GPU is left for it.
  absl::StatusOr<const Member*> Admit(Connection from, const Registration& registration, MonotonicTime now);

  // Removes the member and releases its GPU. Nothing happens if `connection` is no member.
  void Remove(Connection connection);
  void Clear() { members_.clear(); }
  // The GPU may be leased to another from now on, although the member stays.
  void ReleaseDevice(Connection connection) { leases_.Release(connection); }

  Member* Find(Connection connection);  // null if it is no member
  Member& At(Connection connection);    // Requires: it is a member
  const std::map<Connection, Member>& all() const { return members_; }
  const Member* LowestWorker() const;  // the worker with the lowest id; null while there is none
  MemberCounts Counts() const;

  // An evaluation begins: what members have reported about an earlier one is void.
  void ForgetVerification();
  // All members were silent for `gap` because this process did not listen: that time does not count as silence.
  void ForgiveSilence(absl::Duration gap);
  // The members that have been silent for longer than `limit`, in order of their connections.
  std::vector<Connection> SilentFor(absl::Duration limit, MonotonicTime now) const;

  const LeaseHistory& lease_history() const { return leases_.history(); }

 private:
  absl::Status Check(const Registration& registration) const;
  absl::Status LeaseDevice(Connection from, Member* member);
  uint32_t LowestFreeId(Role role) const;

  const Options options_;
  std::map<Connection, Member> members_;
  DeviceLeases leases_;
};

}  // namespace arcshard::coordinator
