#pragma once

#include "shard_server/head/head_options.h"

namespace arcshard::head {

// The device that this run of a test program is for: tests are written once and run once for each device. The variable
// ARCSHARD_TEST_DEVICE says "cpu", which is the default, or "cuda"; ctest sets it (arcshard_test's DEVICES). Where
// there is no GPU, a run for GPUs skips every test.
Device TestDevice();

}  // namespace arcshard::head
