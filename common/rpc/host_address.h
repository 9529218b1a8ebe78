#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace arcshard {

// The host of host:port, without the brackets of an IPv6 address. InvalidArgument: it is not that.
absl::StatusOr<std::string> HostOf(const std::string& host_port);

// host:port, with brackets where the host is an IPv6 address.
std::string JoinHostPort(const std::string& host, int port);

// Whether only this machine reaches `host`: every address that it stands for is a loopback one. False when it stands
// for none.
bool IsLoopback(const std::string& host);

// Whether it stands for all of this machine's addresses: 0.0.0.0 or ::. Nobody can connect to that from elsewhere.
bool IsWildcard(const std::string& host);

// The address of this machine that packets to host:port leave from: where whoever is there can reach us. Tries for at
// most `timeout`, since the name may not be known yet. Unavailable: it stayed unknown, or no route leads there.
absl::StatusOr<std::string> LocalAddressTowards(const std::string& host_port, absl::Duration timeout);

// What others are told to connect to: `advertise` with the port of `listening`, which is host:port. "auto":
// LocalAddressTowards(towards). Empty: `listening` itself, or auto where its host is a wildcard.
absl::StatusOr<std::string> AdvertisedAddress(const std::string& advertise, const std::string& listening,
                                              const std::string& towards, absl::Duration timeout);

}  // namespace arcshard
