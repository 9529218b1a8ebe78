#pragma once

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "arcshard/v1/shared.pb.h"
#include "common/protocol/types.h"

// Converts the protocol's values to and from protobuf; convert_messages.h does so for whole messages. FromProto checks
// everything that can be checked without other state. InvalidArgument: a field is missing or out of range; the message
// names it.
namespace arcshard {

v1::View ToProto(const View& view);
v1::Key ToProto(const Key& key);
v1::StepPlan ToProto(const StepPlan& plan);
v1::Next ToProto(const Next& next);
v1::Decision ToProto(const Decision& decision);
v1::ViewAnnouncement ToProto(const ViewAnnouncement& announcement);

View FromProto(const v1::View& view);
absl::StatusOr<Key> FromProto(const v1::Key& key);
absl::StatusOr<StepPlan> FromProto(const v1::StepPlan& plan);
absl::StatusOr<Next> FromProto(const v1::Next& next);
absl::StatusOr<Decision> FromProto(const v1::Decision& decision);
absl::StatusOr<ViewAnnouncement> FromProto(const v1::ViewAnnouncement& announcement);

}  // namespace arcshard
