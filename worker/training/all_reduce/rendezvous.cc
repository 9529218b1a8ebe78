#include "worker/training/all_reduce/rendezvous.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"
#include "common/net/host_port.h"
#include "torch/csrc/distributed/c10d/TCPStore.hpp"
#include "worker/training/all_reduce/c10d_error.h"

namespace arcshard::worker {
namespace {

// Opens a listening socket on host:0. Without one of its own, TCPStore listens on every interface.
absl::StatusOr<std::pair<int, uint16_t>> BindTo(const std::string& host) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int error = getaddrinfo(host.c_str(), "0", &hints, &found); error != 0) {
    return absl::UnavailableError(absl::StrCat("--all-reduce-interface ", host, ": ", gai_strerror(error)));
  }
  const int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_storage bound = {};
  socklen_t length = sizeof(bound);
  const bool ok = fd >= 0 && bind(fd, found->ai_addr, found->ai_addrlen) == 0 && listen(fd, 128) == 0 &&
                  getsockname(fd, reinterpret_cast<sockaddr*>(&bound), &length) == 0;
  freeaddrinfo(found);
  if (!ok) {
    const std::string reason = std::strerror(errno);
    if (fd >= 0) close(fd);
    return absl::UnavailableError(absl::StrCat("cannot listen on ", host, " (--all-reduce-interface): ", reason));
  }
  const uint16_t port = ntohs(bound.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6*>(&bound)->sin6_port
                                                          : reinterpret_cast<sockaddr_in*>(&bound)->sin_port);
  return std::make_pair(fd, port);
}

}  // namespace

struct Rendezvous::Store {
  c10::intrusive_ptr<c10d::TCPStore> store;
};

Rendezvous::Rendezvous(std::string address, std::unique_ptr<Store> store)
    : address_(std::move(address)), store_(std::move(store)) {}
Rendezvous::~Rendezvous() = default;

absl::StatusOr<std::unique_ptr<Rendezvous>> Rendezvous::Listen(const std::string& host) {
  const auto bound = BindTo(host);
  if (!bound.ok()) return bound.status();
  c10d::TCPStoreOptions options;
  options.isServer = true;
  options.port = bound->second;
  options.masterListenFd = bound->first;  // the store owns it from now on
  options.waitWorkers = false;
  try {
    auto store = std::make_unique<Store>();
    store->store = c10::make_intrusive<c10d::TCPStore>(host, options);
    return std::unique_ptr<Rendezvous>(new Rendezvous(JoinHostPort(host, bound->second), std::move(store)));
  } catch (const std::exception& error) {
    return absl::UnavailableError(
        absl::StrCat("cannot serve the workers' rendezvous on ", host, ": ", FirstLine(error)));
  }
}

}  // namespace arcshard::worker
