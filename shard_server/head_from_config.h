#pragma once

#include <cstdint>

#include "common/base/class_range.h"
#include "common/base/device_name.h"
#include "common/config/run_config.h"
#include "shard_server/head/head.h"

namespace arcshard::shard {

// Returns the options of a head on `device` for the classes `range` out of the run's `num_classes`. Requires: `config`
// is valid (CheckRunConfig).
head::HeadOptions HeadOptionsOf(const RunConfig& config, int64_t num_classes, ClassRange range,
                                const DeviceName& device);

}  // namespace arcshard::shard
