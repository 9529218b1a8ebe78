#include "coordinator/members/spares.h"

#include "absl/strings/str_cat.h"
#include "coordinator/members/member.h"

namespace arcshard::coordinator {

absl::Status Spares::Add(Connection from, const Registration& registration, MonotonicTime now) {
  if (waiting_.size() >= kMost) {
    return absl::ResourceExhaustedError(
        absl::StrCat(waiting_.size(), " spares wait already; ", NameOf(registration), " is one too many"));
  }
  waiting_.emplace(from, Spare{registration, now, now});
  return absl::OkStatus();
}

std::optional<std::pair<Connection, Registration>> Spares::First(MonotonicTime since) const {
  for (const auto& [connection, spare] : waiting_) {
    if (spare.registered <= since) return std::pair(connection, spare.registration);
  }
  return std::nullopt;
}

std::vector<Connection> Spares::All() const {
  std::vector<Connection> all;
  for (const auto& [connection, spare] : waiting_) all.push_back(connection);
  return all;
}

void Spares::ForgiveSilence(absl::Duration gap) {
  for (auto& [connection, spare] : waiting_) spare.last_heard += gap;
}

std::vector<Connection> Spares::SilentFor(absl::Duration limit, MonotonicTime now) const {
  std::vector<Connection> silent;
  for (const auto& [connection, spare] : waiting_) {
    if (now - spare.last_heard > limit) silent.push_back(connection);
  }
  return silent;
}

}  // namespace arcshard::coordinator
