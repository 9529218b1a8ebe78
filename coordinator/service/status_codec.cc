#include "coordinator/service/status_codec.h"

#include "common/rpc/convert/convert.h"
#include "common/rpc/convert/convert_reports.h"
#include "coordinator/service/progress_codec.h"

namespace arcshard::coordinator {
namespace {

void Fill(const MemberStatus& member, v1::MemberStatus* out) {
  const bool shard = member.registration.role == Role::kShard;
  out->set_role(shard ? v1::ROLE_SHARD : v1::ROLE_WORKER);
  out->set_id(member.id);
  out->set_address(member.registration.address);
  out->set_host(member.registration.host);
  out->set_pid(member.registration.pid);
  out->set_attending_seconds(absl::ToDoubleSeconds(member.attending));
  out->set_silent_seconds(absl::ToDoubleSeconds(member.silent));
  if (shard) {
    out->mutable_range()->set_begin(member.range.begin);
    out->mutable_range()->set_end(member.range.end);
    out->set_capacity_bytes(member.registration.capacity_bytes);
  }
  out->set_resident_bytes(member.stats.resident_bytes);
  out->set_held_bytes(member.stats.held_bytes);
  for (const PhaseTime& phase : member.stats.phases) *out->add_phases() = arcshard::ToProto(phase);
  for (const PhaseTime& phase : member.recent) *out->add_recent_phases() = arcshard::ToProto(phase);
}

}  // namespace

v1::RunStatus ToProto(const RunStatus& status) {
  v1::RunStatus out;
  *out.mutable_progress() = ToProto(status.progress);
  if (status.num_classes > 0) *out.mutable_view() = arcshard::ToProto(status.view);
  out.set_num_classes(status.num_classes);
  out.set_run_folder(status.run_folder);
  out.set_checkpoint_age_seconds(absl::ToDoubleSeconds(status.checkpoint_age));
  for (const MemberStatus& member : status.members) Fill(member, out.add_members());
  return out;
}

}  // namespace arcshard::coordinator
