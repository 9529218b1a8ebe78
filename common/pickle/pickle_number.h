#pragma once

#include <cstdint>
#include <optional>

#include "common/pickle/pickle_reader.h"

namespace arcshard {

// The value of an int, of a float without a fraction, or of a NumPy scalar that is either. nullopt: it is none of them,
// or it does not fit.
std::optional<int64_t> PickleInteger(const PickleValue& value);

}  // namespace arcshard
