#include "common/rpc/host_address.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"

namespace arcshard {
namespace {

constexpr absl::Duration kRetry = absl::Milliseconds(250);

struct FreeAddresses {
  void operator()(addrinfo* addresses) const { freeaddrinfo(addresses); }
};
using Addresses = std::unique_ptr<addrinfo, FreeAddresses>;

// Null if the name cannot be resolved; *error is the reason.
Addresses Resolve(const std::string& host, const std::string& port, int type, std::string* error = nullptr) {
  addrinfo hints = {};
  hints.ai_socktype = type;
  addrinfo* found = nullptr;
  const int code = getaddrinfo(host.c_str(), port.c_str(), &hints, &found);
  if (code != 0 && error != nullptr) *error = gai_strerror(code);
  return Addresses(code == 0 ? found : nullptr);
}

bool IsLoopback(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    const in_addr ip = reinterpret_cast<const sockaddr_in&>(address).sin_addr;
    return (ntohl(ip.s_addr) >> 24) == 127;
  }
  if (address.sa_family != AF_INET6) return false;
  const in6_addr& ip = reinterpret_cast<const sockaddr_in6&>(address).sin6_addr;
  return IN6_IS_ADDR_LOOPBACK(&ip) || (IN6_IS_ADDR_V4MAPPED(&ip) && ip.s6_addr[12] == 127);
}

// The local address of a UDP socket that is connected to `there`. Connecting it sends nothing.
absl::StatusOr<std::string> LocalEndTowards(const addrinfo& there) {
  const FileDescriptor socket(::socket(there.ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!socket.valid() || connect(socket.get(), there.ai_addr, there.ai_addrlen) != 0) {
    return absl::UnavailableError(std::strerror(errno));
  }
  sockaddr_storage local = {};
  socklen_t size = sizeof(local);
  char text[NI_MAXHOST];
  if (getsockname(socket.get(), reinterpret_cast<sockaddr*>(&local), &size) != 0 ||
      getnameinfo(reinterpret_cast<sockaddr*>(&local), size, text, sizeof(text), nullptr, 0, NI_NUMERICHOST) != 0) {
    return absl::UnavailableError("the local address cannot be determined");
  }
  return std::string(text);
}

}  // namespace

absl::StatusOr<std::string> HostOf(const std::string& host_port) {
  const size_t colon = host_port.rfind(':');
  if (colon == std::string::npos || colon == 0 || colon + 1 == host_port.size()) {
    return absl::InvalidArgumentError(absl::StrCat("'", host_port, "' is not host:port"));
  }
  const bool bracketed = host_port.front() == '[' && host_port[colon - 1] == ']';
  return bracketed ? host_port.substr(1, colon - 2) : host_port.substr(0, colon);
}

std::string JoinHostPort(const std::string& host, int port) {
  return absl::StrContains(host, ":") ? absl::StrCat("[", host, "]:", port) : absl::StrCat(host, ":", port);
}

bool IsLoopback(const std::string& host) {
  const Addresses addresses = Resolve(host, "0", SOCK_STREAM);
  for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
    if (!IsLoopback(*one->ai_addr)) return false;
  }
  return addresses != nullptr;
}

bool IsWildcard(const std::string& host) {
  in_addr v4 = {};
  in6_addr v6 = {};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return v4.s_addr == INADDR_ANY;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

absl::StatusOr<std::string> LocalAddressTowards(const std::string& host_port, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const std::string host, HostOf(host_port));
  const std::string port = host_port.substr(host_port.rfind(':') + 1);
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  std::string reason;
  do {
    const Addresses addresses = Resolve(host, port, SOCK_DGRAM, &reason);
    for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
      absl::StatusOr<std::string> local = LocalEndTowards(*one);
      if (local.ok()) return local;
      reason = std::string(local.status().message());
    }
    if (clock.Now() + kRetry >= deadline) break;
    absl::SleepFor(kRetry);
  } while (true);
  return absl::UnavailableError(
      absl::StrCat("cannot determine the address under which ", host_port, " reaches this machine: ", reason));
}

absl::StatusOr<std::string> AdvertisedAddress(const std::string& advertise, const std::string& listening,
                                              const std::string& towards, absl::Duration timeout) {
  ASSIGN_OR_RETURN(std::string host, HostOf(listening));
  if (advertise == "auto" || (advertise.empty() && IsWildcard(host))) {
    ASSIGN_OR_RETURN(host, LocalAddressTowards(towards, timeout));
  } else if (!advertise.empty()) {
    host = advertise;
  }
  int port = 0;
  if (!absl::SimpleAtoi(listening.substr(listening.rfind(':') + 1), &port)) {
    return absl::InvalidArgumentError(absl::StrCat("'", listening, "' is not host:port"));
  }
  return JoinHostPort(host, port);
}

}  // namespace arcshard
