#pragma once

#include "shard_server/head/head_options.h"

namespace arcshard::head {

// The device that this run of a test program tests. Tests are written once and run once for each device: the
// environment variable ARCSHARD_TEST_DEVICE is "cpu" (the default) or "cuda"; ctest sets it (DEVICES of arcshard_test).
// A run for GPUs skips every test if there is no GPU.
Device TestDevice();

}  // namespace arcshard::head
