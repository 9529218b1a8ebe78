#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace arcshard {

// The only place that converts errors between Abseil and gRPC. The codes have the same numbers, and the message is
// unchanged. Payloads (failure_details.h) are lost: messages of the protocol carry them.
grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace arcshard
