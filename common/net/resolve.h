#pragma once

#include <netdb.h>

#include <memory>
#include <string>

namespace arcshard {

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};
// A list of addresses, linked by ai_next.
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

// The addresses of host:port for sockets of `type` (SOCK_STREAM, SOCK_DGRAM). May ask the DNS and wait for its answer.
// Null: the name cannot be resolved, and *error, if given, is the reason.
Addresses Resolve(const std::string& host, int port, int type, std::string* error = nullptr);

}  // namespace arcshard
