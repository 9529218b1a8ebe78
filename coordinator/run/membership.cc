#include "coordinator/run/membership.h"

#include <algorithm>
#include <cassert>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/host_port.h"

namespace arcshard::coordinator {
namespace {

absl::string_view RoleName(Role role) { return role == Role::kShard ? "shard" : "worker"; }

std::string Describe(const Registration& registration, absl::string_view number) {
  return absl::StrCat(RoleName(registration.role), number, " (pid ", registration.pid, " on ", registration.host, ")");
}

}  // namespace

std::string NameOf(const Registration& registration) { return Describe(registration, ""); }

std::string Member::Name() const { return Describe(registration, absl::StrCat(" ", id)); }

Membership::Membership(Options options) : options_(std::move(options)), leases_(options_.lease_history) {}

absl::StatusOr<const Member*> Membership::Admit(Connection from, const Registration& registration, MonotonicTime now) {
  assert(!members_.contains(from));
  RETURN_IF_ERROR(Check(registration));
  Member member{
      .registration = registration, .id = LowestFreeId(registration.role), .registered = now, .last_heard = now};
  RETURN_IF_ERROR(LeaseDevice(from, &member));
  if (registration.role == Role::kShard && member.registration.capacity_bytes == 0) {
    leases_.Release(from);
    return absl::InvalidArgumentError(
        absl::StrCat(NameOf(registration), " has no capacity for class centers (--capacity-mb)"));
  }
  member.token = options_.new_token();
  return &members_.emplace(from, std::move(member)).first->second;
}

uint32_t Membership::LowestFreeId(Role role) const {
  std::set<uint32_t> taken;
  for (const auto& [connection, member] : members_) {
    if (member.registration.role == role) taken.insert(member.id);
  }
  uint32_t id = 0;
  while (taken.contains(id)) ++id;
  return id;
}

absl::Status Membership::Check(const Registration& registration) const {
  const std::string name = NameOf(registration);
  if (registration.address.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " gives no address where it listens"));
  }
  RETURN_IF_ERROR(Annotate(ParsePeerAddress(registration.address).status(), name));
  if (registration.last_decided_step != 0) {
    return absl::FailedPreconditionError(absl::StrCat(name, " holds the state of ", ToString(registration.last_view),
                                                      " after step ", registration.last_decided_step,
                                                      ", but this run starts from step 0; restart it"));
  }
  const MemberCounts counts = Counts();
  const bool shard = registration.role == Role::kShard;
  const uint32_t wanted = shard ? counts.shards_wanted : counts.workers_wanted;
  if ((shard ? counts.shards_here : counts.workers_here) >= wanted) {
    const absl::string_view role = RoleName(registration.role);
    return absl::FailedPreconditionError(
        absl::StrCat("the run has all its ", wanted, " ", role, "s (cluster.", role, "s); ", name, " is one too many"));
  }
  return absl::OkStatus();
}

absl::Status Membership::LeaseDevice(Connection from, Member* member) {
  Registration& registration = member->registration;
  if (!registration.device_request.has_value()) return absl::OkStatus();
  if (registration.role != Role::kShard) return absl::InvalidArgumentError("only shards ask for a GPU");
  ASSIGN_OR_RETURN(const VisibleDevice device, leases_.Lease(from, member->Name(), *registration.device_request));
  if (device.capacity_bytes > 0) registration.capacity_bytes = device.capacity_bytes;
  member->device = device.uuid;
  return absl::OkStatus();
}

void Membership::Remove(Connection connection) {
  leases_.Release(connection);
  members_.erase(connection);
}

Member* Membership::Find(Connection connection) {
  const auto member = members_.find(connection);
  return member == members_.end() ? nullptr : &member->second;
}

Member& Membership::At(Connection connection) {
  Member* const member = Find(connection);
  assert(member != nullptr);
  return *member;
}

const Member* Membership::LowestWorker() const {
  const Member* lowest = nullptr;
  for (const auto& [connection, member] : members_) {
    if (member.registration.role != Role::kWorker) continue;
    if (lowest == nullptr || member.id < lowest->id) lowest = &member;
  }
  return lowest;
}

MemberCounts Membership::Counts() const {
  MemberCounts counts{.shards_wanted = options_.shards, .workers_wanted = options_.workers};
  for (const auto& [connection, member] : members_) {
    ++(member.registration.role == Role::kShard ? counts.shards_here : counts.workers_here);
    if (member.data.has_value()) ++counts.datasets_here;
  }
  return counts;
}

void Membership::ForgetVerification() {
  for (auto& [connection, member] : members_) member.stats.verified_images = member.stats.images_to_verify = 0;
}

void Membership::ForgiveSilence(absl::Duration gap) {
  assert(gap >= absl::ZeroDuration());
  for (auto& [connection, member] : members_) member.last_heard += gap;
}

std::vector<Connection> Membership::SilentFor(absl::Duration limit, MonotonicTime now) const {
  std::vector<Connection> silent;
  for (const auto& [connection, member] : members_) {
    if (now - member.last_heard > limit) silent.push_back(connection);
  }
  return silent;
}

}  // namespace arcshard::coordinator
