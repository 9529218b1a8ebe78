#pragma once

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/protocol/types.h"

// Converts the announcement of a view to and from protobuf.
namespace arcshard {

v1::ViewAnnouncement ToProto(const ViewAnnouncement& announcement);

// InvalidArgument: the class ranges have a gap or do not cover all classes, there is no worker, or the state, the
// decision that led to it and the base cannot belong together; the message names the field.
absl::StatusOr<ViewAnnouncement> FromProto(const v1::ViewAnnouncement& announcement);

}  // namespace arcshard
