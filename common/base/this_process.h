#pragma once

#include <cstdint>
#include <string>

// What this process is, for messages to people.
namespace arcshard {

std::string HostName();

// The same for all processes of this machine, in whatever container they are and whatever that is called; another one
// after a reboot. Where the kernel does not tell it: the host's name.
std::string MachineId();

// Memory that is resident now, as the kernel counts it; 0 where it cannot be told.
uint64_t ResidentBytes();

// Processor cores that this process may keep busy: those that its affinity allows, or fewer where a control group
// limits its time. At least 1.
int UsableCores();

}  // namespace arcshard
