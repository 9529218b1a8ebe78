#pragma once

#include "arcshard/v1/coordinator.pb.h"
#include "coordinator/progress/run_status.h"

namespace arcshard::coordinator {

// Without the field `coordinator`, which the caller fills in.
v1::RunStatus ToProto(const RunStatus& status);

}  // namespace arcshard::coordinator
