#pragma once

#include "arcshard/v1/coordinator.pb.h"
#include "coordinator/progress/progress.h"

namespace arcshard::coordinator {

v1::Progress ToProto(const Progress& progress);

}  // namespace arcshard::coordinator
