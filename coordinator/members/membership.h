#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/base/token.h"
#include "common/protocol/messages.h"
#include "common/protocol/types.h"
#include "coordinator/members/connection.h"
#include "coordinator/members/member.h"
#include "coordinator/policy/decisions.h"
#include "coordinator/policy/device_leases.h"

namespace arcshard::coordinator {

// The seats of a run and who has them: under which token, with which GPU, and when each was last heard. A seat whose
// member was removed is free for whoever comes next; who had it last is known again by its token. Not thread-safe.
class Membership {
 public:
  struct Options {
    uint32_t shards = 0;  // wanted
    uint32_t workers = 0;
    std::function<std::string()> new_token = NewToken;
    LeaseHistory lease_history = {};  // of the run's earlier lives
  };

  explicit Membership(Options options);

  // The seat that the sender of `registration` would get: the one that it had, if that is free, or the role's lowest
  // free one. None: the role has all its members.
  std::optional<Seat> SeatFor(const Registration& registration) const;
  // Whether it had a seat, as its token proves or what it holds says, which is free.
  bool OwnSeatIsFree(const Registration& registration) const;
  // The member that has this token, on another stream: it is the same process.
  std::optional<Connection> SameProcess(const Registration& registration) const;
  // Whoever has the seat that the sender had with less right to it: has not been told of a view here, and holds
  // nothing, or the state of another seat or of an older view. None: nobody has it, or with as much right.
  std::optional<Connection> Outranked(const Registration& registration) const;

  // Makes the sender of `registration` a member, with SeatFor's seat, and leases it a GPU if it asks for one. Its token
  // stays the one that it has, if it has one. Requires: `from` is no member. The pointer is valid until the member is
  // removed. InvalidArgument: no address to connect to; a shard without capacity; a worker asks for a GPU; the request
  // is malformed. FailedPrecondition: the role has all its members. ResourceExhausted: no GPU is left for it.
  absl::StatusOr<Member*> Admit(Connection from, const Registration& registration, MonotonicTime now);

  // Removes the member and releases its GPU. Nothing happens if `connection` is no member.
  void Remove(Connection connection);
  void Clear();
  // The GPU may be leased to another from now on, although the member stays.
  void ReleaseDevice(Connection connection) { leases_.Release(connection); }

  Member* Find(Connection connection);  // null if it is no member
  Member& At(Connection connection);    // Requires: it is a member
  std::optional<Connection> At(const Seat& seat) const;
  std::map<Connection, Member>& all() { return members_; }
  const std::map<Connection, Member>& all() const { return members_; }
  // Those that were told of the view, in order of their connections.
  std::vector<std::pair<Connection, Member*>> Of(const View& view);
  // Of those that were told of the view, the worker with the lowest id; null while there is none.
  const Member* LowestWorker(const View& view) const;
  MemberCounts Counts() const;

  // The worker with this token does not take part until then, as long as there are others.
  void Bar(const std::string& token, MonotonicTime until) { barred_[token] = until; }
  bool IsBarred(const Member& member, MonotonicTime now) const;

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
  std::optional<Seat> FormerSeat(const Registration& registration) const;
  bool IsFree(const Seat& seat) const;
  uint32_t Wanted(Role role) const { return role == Role::kShard ? options_.shards : options_.workers; }

  const Options options_;
  std::map<Connection, Member> members_;
  std::map<Seat, Connection> seats_;             // of the members
  std::map<Seat, std::string> last_tokens_;      // of each seat's last member
  std::map<std::string, MonotonicTime> barred_;  // by token
  DeviceLeases leases_;
};

}  // namespace arcshard::coordinator
