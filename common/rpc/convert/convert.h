#pragma once

#include "absl/status/statusor.h"
#include "arcshard/v1/shared.pb.h"
#include "common/protocol/types.h"

// Converts the protocol's values to and from protobuf; convert_messages.h does so for whole messages. FromProto checks
// everything that can be checked without other state. InvalidArgument: a field is missing or out of range; the message
// names it. A missing state point is the first weights', and missing counters are 0.
namespace arcshard {

v1::View ToProto(const View& view);
v1::StatePoint ToProto(const StatePoint& point);
v1::Key ToProto(const Key& key);
v1::StepPlan ToProto(const StepPlan& plan);
v1::Next ToProto(const Next& next);
// Of more verification sets than a message takes, or with a name longer than it takes, none is named: a receiver then
// does not know of which sets the best accuracy is (BestVerification).
v1::RunCounters ToProto(const RunCounters& counters);
v1::Decision ToProto(const Decision& decision);

View FromProto(const v1::View& view);
StatePoint FromProto(const v1::StatePoint& point);
absl::StatusOr<Key> FromProto(const v1::Key& key);
absl::StatusOr<StepPlan> FromProto(const v1::StepPlan& plan);
absl::StatusOr<Next> FromProto(const v1::Next& next);
absl::StatusOr<RunCounters> FromProto(const v1::RunCounters& counters);
absl::StatusOr<Decision> FromProto(const v1::Decision& decision);

}  // namespace arcshard
