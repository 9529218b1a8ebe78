#pragma once

#include <grpc/support/time.h>
#include <grpcpp/support/time.h>

#include <algorithm>

#include "absl/time/time.h"

namespace arcshard {

// `timeout` from now, for gRPC, on the monotonic clock: a deadline that is a date would come too early, or too late,
// if the machine's date were set meanwhile. At most a year.
inline gpr_timespec DeadlineIn(absl::Duration timeout) {
  const absl::Duration wait = std::clamp(timeout, absl::ZeroDuration(), absl::Hours(24 * 365));
  return gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), gpr_time_from_nanos(absl::ToInt64Nanoseconds(wait), GPR_TIMESPAN));
}

}  // namespace arcshard
