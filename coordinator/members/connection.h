#pragma once

#include <cstdint>

namespace arcshard::coordinator {

// The number of a participant's stream. The owner of Run gives each stream a number of its own and uses none twice.
using Connection = uint64_t;

}  // namespace arcshard::coordinator
