#pragma once

#include <string>

#include "common/base/clock.h"
#include "common/config/run_config.h"
#include "shard_server/head/cpu/product_times.h"
#include "shard_server/head/head_options.h"

// How a head on the CPU multiplies in bfloat16 (docs/adr/0017-products-are-measured-types-are-advised.md).
namespace arcshard::shard {

// The faster way, by measured times. A run that is deterministic or recorded has the processor's own products in any
// case: its bits must be a function of its configuration and the kind of processor.
head::Bfloat16Products ChooseProducts(const RunConfig& config, const head::ProductTimes& times);

// A sentence with both times where bfloat16 is slower than float32; "": it is not.
std::string NoteOnProducts(const RunConfig& config, const head::ProductTimes& times);

// Measures with the shapes of the run.
head::ProductTimes MeasureProducts(const RunConfig& config, const Clock& clock);

}  // namespace arcshard::shard
