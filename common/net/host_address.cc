#include "common/net/host_address.h"

#include <arpa/inet.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "common/base/clock.h"
#include "common/base/status_macros.h"
#include "common/io/file.h"
#include "common/net/host_port.h"
#include "common/net/resolve.h"

namespace arcshard {
namespace {

constexpr absl::Duration kRetry = absl::Milliseconds(250);

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

bool IsLoopback(const std::string& host) {
  const Addresses addresses = Resolve(host, 0, SOCK_STREAM);
  for (const addrinfo* one = addresses.get(); one != nullptr; one = one->ai_next) {
    if (!IsLoopback(*one->ai_addr)) return false;
  }
  return addresses != nullptr;
}

std::string LocalHostProblem(const std::string& host) {
  const std::string name = WithoutBrackets(host);
  if (!name.empty() && if_nametoindex(name.c_str()) != 0) {
    return absl::StrCat("'", host, "' is the name of a network interface; give the address that it has");
  }
  std::string problem = HostFormProblem(host);
  if (problem.empty() && Resolve(name, 0, SOCK_STREAM) == nullptr) problem = "no such name is known";
  return problem.empty() ? "" : absl::StrCat("'", host, "' is not an address of this machine: ", problem);
}

bool IsWildcard(const std::string& host) {
  in_addr v4 = {};
  in6_addr v6 = {};
  if (inet_pton(AF_INET, host.c_str(), &v4) == 1) return v4.s_addr == INADDR_ANY;
  return inet_pton(AF_INET6, host.c_str(), &v6) == 1 && IN6_IS_ADDR_UNSPECIFIED(&v6);
}

absl::StatusOr<std::string> LocalAddressTowards(const std::string& host_port, absl::Duration timeout) {
  ASSIGN_OR_RETURN(const HostPort there, ParseHostPort(host_port));
  const SystemClock clock;
  const MonotonicTime deadline = clock.Now() + timeout;
  std::string reason;
  do {
    const Addresses addresses = Resolve(there.host, there.port, SOCK_DGRAM, &reason);
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
  ASSIGN_OR_RETURN(const HostPort own, ParseHostPort(listening));
  std::string host = own.host;
  if (advertise == "auto" || (advertise.empty() && IsWildcard(host))) {
    ASSIGN_OR_RETURN(host, LocalAddressTowards(towards, timeout));
  } else if (!advertise.empty()) {
    host = WithoutBrackets(advertise);
  }
  std::string address = JoinHostPort(host, own.port);
  RETURN_IF_ERROR(ParseHostPort(address).status());  // the host that is advertised may be none
  return address;
}

}  // namespace arcshard
