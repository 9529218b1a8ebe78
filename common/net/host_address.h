#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace arcshard {

// Whether only this machine can reach `host`: all its addresses are loopback addresses. False if it has none.
bool IsLoopback(const std::string& host);

// Whether `host` means all of this machine's addresses: 0.0.0.0 or ::. Other machines cannot connect to that.
bool IsWildcard(const std::string& host);

// For options of the command line that take an address of this machine: what is wrong with one; empty: nothing.
std::string LocalHostProblem(const std::string& host);

// The address of this machine from which packets to host:port are sent, and which that host can therefore reach.
// Retries for at most `timeout`, since the name may not be known yet. InvalidArgument: not host:port. Unavailable: the
// name stayed unknown, or there is no route.
absl::StatusOr<std::string> LocalAddressTowards(const std::string& host_port, absl::Duration timeout);

// The address that others are told to connect to: the host `advertise` with the port of `listening`, which is
// host:port. If `advertise` is "auto", the host is LocalAddressTowards(towards); if it is empty, `listening` itself, or
// auto if its host is a wildcard. Errors are those of LocalAddressTowards.
absl::StatusOr<std::string> AdvertisedAddress(const std::string& advertise, const std::string& listening,
                                              const std::string& towards, absl::Duration timeout);

}  // namespace arcshard
