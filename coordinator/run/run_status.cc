#include "coordinator/run/run_status.h"

#include <algorithm>
#include <tuple>

#include "coordinator/run/run.h"

namespace arcshard::coordinator {

RunStatus Run::Status() const {
  const absl::Time now = clock_->Now();
  RunStatus status = {.progress = progress_,
                      .view = view_,
                      .num_classes = num_classes_,
                      .run_folder = options_.config.run.folder,
                      .members = {}};
  if (checkpoints_.newest().has_value() && checkpoints_.newest_at() != absl::InfinitePast()) {
    status.checkpoint_age = now - checkpoints_.newest_at();
  }
  for (const auto& [connection, member] : members_) {
    status.members.push_back({.registration = member.registration,
                              .id = member.id,
                              .attending = now - member.registered,
                              .silent = now - member.last_heard,
                              .range = member.range,
                              .stats = member.stats,
                              .recent = member.recent.Recent()});
  }
  std::sort(status.members.begin(), status.members.end(), [](const MemberStatus& a, const MemberStatus& b) {
    return std::tuple(a.registration.role, a.id) < std::tuple(b.registration.role, b.id);
  });
  return status;
}

}  // namespace arcshard::coordinator
