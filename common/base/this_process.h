#pragma once

#include <cstdint>
#include <string>

// What this process is, for messages to people.
namespace arcshard {

std::string HostName();

// Memory that is resident now, as the kernel counts it; 0 where it cannot be told.
uint64_t ResidentBytes();

// Processor cores that this process may keep busy: those that its affinity allows, or fewer where a control group
// limits its time. At least 1.
int UsableCores();

}  // namespace arcshard
