#include "common/net/listener.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/net/descriptors.h"
#include "common/net/host_address.h"
#include "common/net/resolve.h"

namespace arcshard {
namespace {

constexpr int kBacklog = 4096;  // the system lowers it to net.core.somaxconn

int PortOf(const sockaddr_storage& address) {
  if (address.ss_family == AF_INET) return ntohs(reinterpret_cast<const sockaddr_in&>(address).sin_port);
  if (address.ss_family == AF_INET6) return ntohs(reinterpret_cast<const sockaddr_in6&>(address).sin6_port);
  return 0;
}

// A socket that listens on `address` with `port` in place of its own; invalid, with errno, if that is not possible.
FileDescriptor ListenOn(const addrinfo& address, int port) {
  FileDescriptor socket(::socket(address.ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket.valid()) return socket;
  const int yes = 1, no = 0;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &yes, sizeof(yes));
  setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));  // connections inherit it
  sockaddr_storage bound = {};
  if (address.ai_family == AF_INET) {
    sockaddr_in& v4 = reinterpret_cast<sockaddr_in&>(bound);
    v4 = *reinterpret_cast<const sockaddr_in*>(address.ai_addr);
    v4.sin_port = htons(static_cast<uint16_t>(port));
  } else {
    setsockopt(socket.get(), IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof(no));  // [::] takes IPv4 too
    sockaddr_in6& v6 = reinterpret_cast<sockaddr_in6&>(bound);
    v6 = *reinterpret_cast<const sockaddr_in6*>(address.ai_addr);
    v6.sin6_port = htons(static_cast<uint16_t>(port));
  }
  const auto* const raw = reinterpret_cast<const sockaddr*>(&bound);
  const bool listens = bind(socket.get(), raw, address.ai_addrlen) == 0 && listen(socket.get(), kBacklog) == 0;
  return listens ? std::move(socket) : FileDescriptor();
}

int PortOf(const FileDescriptor& socket) {
  sockaddr_storage bound = {};
  socklen_t size = sizeof(bound);
  return getsockname(socket.get(), reinterpret_cast<sockaddr*>(&bound), &size) == 0 ? PortOf(bound) : 0;
}

absl::Status CannotListen(const HostPort& address, absl::string_view reason) {
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", JoinHostPort(address.host, address.port), ": ", reason));
}

absl::Status CannotListen(const HostPort& address, int error) {
  if (error == EADDRINUSE) return CannotListen(address, "the port is in use");
  if (error == EADDRNOTAVAIL) return CannotListen(address, "the address is not of this host");
  return CannotListen(address, std::generic_category().message(error));
}

}  // namespace

absl::StatusOr<Listener> Listener::Open(const HostPort& address) {
  std::string reason;
  Addresses addresses;
  // Where the machine has IPv6, this socket serves both.
  if (IsWildcard(address.host)) addresses = Resolve("::", address.port, SOCK_STREAM);
  std::vector<FileDescriptor> sockets;
  int port = address.port, error = EADDRNOTAVAIL;
  const auto listen_on = [&](const Addresses& found) {
    for (const addrinfo* one = found.get(); one != nullptr; one = one->ai_next) {
      FileDescriptor socket = ListenOn(*one, port);
      if (!socket.valid()) {
        error = errno;
        continue;
      }
      if (port == 0) port = PortOf(socket);
      sockets.push_back(std::move(socket));
    }
  };
  listen_on(addresses);
  if (sockets.empty() && error != EADDRINUSE) {
    const Addresses own = Resolve(address.host, address.port, SOCK_STREAM, &reason);
    if (own == nullptr) return CannotListen(address, reason);
    listen_on(own);
  }
  if (sockets.empty() || (error == EADDRINUSE && address.port != 0)) return CannotListen(address, error);
  return Listener(std::move(sockets), port);
}

Listener::Accepted Listener::Accept(const FileDescriptor& socket) {
  int fd;
  do {
    fd = accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
  } while (fd < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (fd < 0) {
    const bool stuck = errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS;
    return {stuck ? Outcome::kStuck : Outcome::kNone};
  }
  FileDescriptor connection(fd);
  if (fd >= FirstReservedDescriptor()) return {Outcome::kRefused};
  return {Outcome::kAccepted, std::move(connection)};
}

int PeerPort(const FileDescriptor& connection) {
  sockaddr_storage peer = {};
  socklen_t size = sizeof(peer);
  return getpeername(connection.get(), reinterpret_cast<sockaddr*>(&peer), &size) == 0 ? PortOf(peer) : 0;
}

}  // namespace arcshard
