#include "coordinator/members/member.h"

#include "absl/strings/str_cat.h"

namespace arcshard::coordinator {
namespace {

std::string Describe(const Registration& registration, absl::string_view number) {
  return absl::StrCat(NameOf(registration.role), number, " (pid ", registration.pid, " on ", registration.host, ")");
}

}  // namespace

absl::string_view NameOf(Role role) { return role == Role::kShard ? "shard" : "worker"; }

std::string NameOf(const Seat& seat) { return absl::StrCat(NameOf(seat.role), " ", seat.id); }

std::string NameOf(const Registration& registration) { return Describe(registration, ""); }

std::string Member::Name() const { return Describe(registration, absl::StrCat(" ", id)); }

}  // namespace arcshard::coordinator
