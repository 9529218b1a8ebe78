#pragma once

#include <cstdint>
#include <string>

// Facts about this process and its machine.
namespace arcshard {

std::string HostName();

// Identifies this machine: the same for all processes on it, in any container; changes with a reboot. Falls back to
// the host's name where the kernel does not provide an id.
std::string MachineId();

// The folder of this process's program file, where the other programs are too; empty if the kernel does not tell it.
std::string FolderOfThisProgram();

// This process's resident memory as the kernel counts it; 0 if it cannot be read.
uint64_t ResidentBytes();

// The memory in bytes that this process may use: this machine's, or its control group's limit if that is less.
int64_t UsableMemoryBytes();

// The number of processor cores this process may keep busy: those its affinity allows, or fewer if a control group
// limits its CPU time. At least 1.
int UsableCores();

}  // namespace arcshard
