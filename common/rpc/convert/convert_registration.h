#pragma once

#include "absl/status/statusor.h"
#include "arcshard/v1/coordinator.pb.h"
#include "common/protocol/messages.h"

// Converts a participant's first message, and what it says there of the state that it holds, to and from protobuf. The
// sender is not trusted.
namespace arcshard {

v1::Register ToProto(const Registration& registration);
v1::Held ToProto(const HeldState& held);

// InvalidArgument: a field is missing, out of range, or says more than is taken; the message names it.
absl::StatusOr<Registration> FromProto(const v1::Register& message);
absl::StatusOr<HeldState> FromProto(const v1::Held& message);

}  // namespace arcshard
