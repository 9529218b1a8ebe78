#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace arcshard {

// The one place where errors cross between Abseil and gRPC. Codes are the same numbers; the message travels as it is.
grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace arcshard
