#pragma once

#include <set>
#include <string>
#include <vector>

#include "tests/faults/fault.h"

// Which deaths at which messages a run has to survive.
namespace arcshard::faults {

// In phases of recovery there are three of each role, so that a second death leaves somebody who holds what the first
// one has lost. Otherwise two.
uint32_t MembersOfARole(Phase phase);

// Every fault of the matrix. Each sender and receiver that the table names for a message and a phase is killed before
// it and after it.
std::vector<Fault> AllFaults();
// The types of messages that the table has a row for.
std::set<std::string> TypesInTable();

}  // namespace arcshard::faults
