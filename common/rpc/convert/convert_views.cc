#include "common/rpc/convert/convert_views.h"

#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "common/base/status_macros.h"
#include "common/rpc/convert/check_fields.h"
#include "common/rpc/convert/convert.h"

namespace arcshard {
namespace {

std::string Describe(const StatePoint& point) {
  return absl::StrFormat("step %d with the lineage %016x", point.step, point.lineage);
}

absl::Status ReadShards(const v1::ViewAnnouncement& announcement, ViewAnnouncement* out) {
  int64_t covered = 0;
  for (const v1::ShardMember& shard : announcement.shards()) {
    const ClassRange range{shard.range().begin(), shard.range().end()};
    if (range.begin != covered || range.end < range.begin) {
      return absl::InvalidArgumentError(absl::StrCat("the class range [", range.begin, ", ", range.end, ") of shard ",
                                                     shard.id(), " does not begin at ", covered));
    }
    covered = range.end;
    if (shard.has_log() && !shard.holds()) {
      return absl::InvalidArgumentError(
          absl::StrCat("shard ", shard.id(), " has the log of a state that it does not hold"));
    }
    out->shards.push_back({.id = shard.id(),
                           .address = shard.address(),
                           .range = range,
                           .holds = shard.holds(),
                           .has_log = shard.has_log(),
                           .token = shard.token()});
  }
  if (covered != out->num_classes || covered == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("the shards' ranges cover ", covered, " of ", out->num_classes, " classes"));
  }
  return absl::OkStatus();
}

// Whether `state` can follow from `base`, and is where `last` leads.
absl::Status CheckState(const ViewAnnouncement& view) {
  if (view.base.step > view.state.step) {
    return absl::InvalidArgumentError(
        absl::StrCat("view.base is ", Describe(view.base), ", after view.state, ", Describe(view.state)));
  }
  if (view.last.has_value() && view.last->after() != view.state) {
    return absl::InvalidArgumentError(absl::StrCat("view.last leads to ", Describe(view.last->after()),
                                                   ", but view.state is ", Describe(view.state)));
  }
  if (!view.last.has_value() && view.state != view.base) {
    return absl::InvalidArgumentError(absl::StrCat("view.last is missing, but view.state, ", Describe(view.state),
                                                   ", is not view.base, ", Describe(view.base)));
  }
  if (view.checkpoint.empty() && view.base != StatePoint()) {
    return absl::InvalidArgumentError(
        absl::StrCat("view.checkpoint is missing, but view.base is ", Describe(view.base)));
  }
  return absl::OkStatus();
}

}  // namespace

v1::ViewAnnouncement ToProto(const ViewAnnouncement& announcement) {
  v1::ViewAnnouncement out;
  *out.mutable_view() = ToProto(announcement.view);
  out.set_num_classes(announcement.num_classes);
  for (const ShardMember& shard : announcement.shards) {
    v1::ShardMember* member = out.add_shards();
    member->set_id(shard.id);
    member->set_address(shard.address);
    member->mutable_range()->set_begin(shard.range.begin);
    member->mutable_range()->set_end(shard.range.end);
    member->set_holds(shard.holds);
    member->set_has_log(shard.has_log);
    member->set_token(shard.token);
  }
  for (const WorkerMember& worker : announcement.workers) {
    v1::WorkerMember* member = out.add_workers();
    member->set_id(worker.id);
    member->set_rendezvous(worker.rendezvous);
    member->set_token(worker.token);
    member->set_holds(worker.holds);
  }
  *out.mutable_state() = ToProto(announcement.state);
  if (announcement.last.has_value()) *out.mutable_last() = ToProto(*announcement.last);
  *out.mutable_base() = ToProto(announcement.base);
  out.set_checkpoint(announcement.checkpoint);
  return out;
}

absl::StatusOr<ViewAnnouncement> FromProto(const v1::ViewAnnouncement& announcement) {
  if (!announcement.has_view()) return absl::InvalidArgumentError("view announcement without a view");
  ViewAnnouncement out{.view = FromProto(announcement.view()),
                       .num_classes = announcement.num_classes(),
                       .shards = {},
                       .workers = {},
                       .state = FromProto(announcement.state()),
                       .base = FromProto(announcement.base()),
                       .checkpoint = announcement.checkpoint()};
  RETURN_IF_ERROR(ReadShards(announcement, &out));
  for (const v1::WorkerMember& worker : announcement.workers()) {
    out.workers.push_back(
        {.id = worker.id(), .rendezvous = worker.rendezvous(), .token = worker.token(), .holds = worker.holds()});
  }
  if (out.workers.empty()) return absl::InvalidArgumentError("a view without workers");
  if (announcement.has_last()) {
    ASSIGN_OR_RETURN(out.last, FromProto(announcement.last()));
  }
  RETURN_IF_ERROR(CheckState(out));
  return out;
}

}  // namespace arcshard
