#include "coordinator/members/membership.h"

#include <algorithm>
#include <cassert>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/base/status_macros.h"
#include "common/net/host_port.h"
#include "coordinator/members/holdings.h"

namespace arcshard::coordinator {
namespace {

constexpr size_t kLongestToken = 64;

bool HasToken(const Registration& registration) {
  return !registration.token.empty() && registration.token.size() <= kLongestToken;
}

}  // namespace

Membership::Membership(Options options) : options_(std::move(options)), leases_(options_.lease_history) {}

// --- Seats

std::optional<Seat> Membership::FormerSeat(const Registration& registration) const {
  if (!HasToken(registration)) return std::nullopt;
  for (const auto& [seat, token] : last_tokens_) {
    if (seat.role == registration.role && SameToken(token, registration.token)) return seat;
  }
  // A coordinator that was started again knows no tokens. Who holds a state of the run had a seat in it.
  const bool had_one = registration.held.has_value() && registration.id < Wanted(registration.role);
  return had_one ? std::optional(Seat{registration.role, registration.id}) : std::nullopt;
}

bool Membership::IsFree(const Seat& seat) const { return !At(seat).has_value(); }

bool Membership::OwnSeatIsFree(const Registration& registration) const {
  const std::optional<Seat> former = FormerSeat(registration);
  return former.has_value() && IsFree(*former);
}

std::optional<Seat> Membership::SeatFor(const Registration& registration) const {
  if (const std::optional<Seat> former = FormerSeat(registration); former.has_value() && IsFree(*former)) return former;
  for (uint32_t id = 0; id < Wanted(registration.role); ++id) {
    if (const Seat seat{registration.role, id}; IsFree(seat)) return seat;
  }
  return std::nullopt;
}

std::optional<Connection> Membership::SameProcess(const Registration& registration) const {
  if (!HasToken(registration)) return std::nullopt;
  for (const auto& [connection, member] : members_) {
    if (member.registration.role == registration.role && SameToken(member.token, registration.token)) {
      return connection;
    }
  }
  return std::nullopt;
}

std::optional<Connection> Membership::Outranked(const Registration& registration) const {
  const std::optional<Seat> former = FormerSeat(registration);
  if (!registration.held.has_value() || !former.has_value()) return std::nullopt;
  const std::optional<Connection> sits = At(*former);
  if (!sits.has_value() || members_.at(*sits).view != View()) return std::nullopt;
  const Member& member = members_.at(*sits);
  const bool at_home = former->role == Role::kWorker || member.registration.id == former->id;
  const bool has_right = member.held.has_value() && at_home && member.held->view >= registration.held->view;
  return has_right ? std::nullopt : sits;
}

// --- Coming and going

absl::StatusOr<Member*> Membership::Admit(Connection from, const Registration& registration, MonotonicTime now) {
  assert(!members_.contains(from));
  RETURN_IF_ERROR(Check(registration));
  const Seat seat = *SeatFor(registration);
  Member member{.registration = registration, .id = seat.id, .registered = now, .last_heard = now};
  member.held = std::exchange(member.registration.held, std::nullopt);
  if (member.held.has_value() && seat.role == Role::kShard) {
    member.range = RangeOfHeld(*member.held, registration.id);
  }
  RETURN_IF_ERROR(LeaseDevice(from, &member));
  if (seat.role == Role::kShard && member.registration.capacity_bytes == 0) {
    leases_.Release(from);
    return absl::InvalidArgumentError(
        absl::StrCat(NameOf(registration), " has no capacity for class centers (--capacity-mb)"));
  }
  const bool keeps_token = HasToken(registration) && !SameProcess(registration).has_value();
  member.token = keeps_token ? registration.token : options_.new_token();
  last_tokens_[seat] = member.token;
  seats_.emplace(seat, from);
  return &members_.emplace(from, std::move(member)).first->second;
}

absl::Status Membership::Check(const Registration& registration) const {
  const std::string name = NameOf(registration);
  if (registration.address.empty()) {
    return absl::InvalidArgumentError(absl::StrCat(name, " gives no address where it listens"));
  }
  RETURN_IF_ERROR(Annotate(ParsePeerAddress(registration.address).status(), name));
  if (!SeatFor(registration).has_value()) {
    const absl::string_view role = NameOf(registration.role);
    return absl::FailedPreconditionError(absl::StrCat("the run has all its ", Wanted(registration.role), " ", role,
                                                      "s (cluster.", role, "s); ", name, " is one too many"));
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
  const auto member = members_.find(connection);
  if (member == members_.end()) return;
  seats_.erase(member->second.seat());
  members_.erase(member);
}

void Membership::Clear() {
  members_.clear();
  seats_.clear();
}

// --- Look-ups

Member* Membership::Find(Connection connection) {
  const auto member = members_.find(connection);
  return member == members_.end() ? nullptr : &member->second;
}

Member& Membership::At(Connection connection) {
  Member* const member = Find(connection);
  assert(member != nullptr);
  return *member;
}

std::optional<Connection> Membership::At(const Seat& seat) const {
  const auto taken = seats_.find(seat);
  return taken == seats_.end() ? std::nullopt : std::optional(taken->second);
}

std::vector<std::pair<Connection, Member*>> Membership::Of(const View& view) {
  std::vector<std::pair<Connection, Member*>> members;
  members.reserve(members_.size());
  for (auto& [connection, member] : members_) {
    if (member.view == view) members.emplace_back(connection, &member);
  }
  return members;
}

const Member* Membership::LowestWorker(const View& view) const {
  const Member* lowest = nullptr;
  for (const auto& [connection, member] : members_) {
    if (member.registration.role != Role::kWorker || member.view != view) continue;
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

bool Membership::IsBarred(const Member& member, MonotonicTime now) const {
  const auto barred = barred_.find(member.token);
  return barred != barred_.end() && now < barred->second;
}

// --- Signs of life

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
