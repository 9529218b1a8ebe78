#pragma once

#include <map>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "common/base/monotonic_time.h"
#include "common/protocol/messages.h"
#include "coordinator/members/connection.h"

namespace arcshard::coordinator {

// Shards that wait until a seat becomes free. The one that has waited longest gets it. Not thread-safe.
class Spares {
 public:
  static constexpr size_t kMost = 64;

  // ResourceExhausted: there are kMost.
  absl::Status Add(Connection from, const Registration& registration, MonotonicTime now);
  void Remove(Connection connection) { waiting_.erase(connection); }  // nothing happens if it is none
  void Clear() { waiting_.clear(); }

  bool Contains(Connection connection) const { return waiting_.contains(connection); }
  void Heard(Connection connection, MonotonicTime now) { waiting_.at(connection).last_heard = now; }
  // The first of those that have waited since `since` or longer; none: there is none.
  std::optional<std::pair<Connection, Registration>> First(MonotonicTime since) const;

  std::vector<Connection> All() const;
  // As for Membership.
  void ForgiveSilence(absl::Duration gap);
  std::vector<Connection> SilentFor(absl::Duration limit, MonotonicTime now) const;

 private:
  struct Spare {
    Registration registration;
    MonotonicTime registered;
    MonotonicTime last_heard;
  };
  std::map<Connection, Spare> waiting_;  // connections are numbered in the order in which they come
};

}  // namespace arcshard::coordinator
