#include "common/metrics/metrics_server.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <exception>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "common/metrics/thread_stacks.h"
#include "prometheus/exposer.h"

namespace arcshard {
namespace {

// The host of host:port, without brackets; nullopt if `address` is not of that form. civetweb accepts lists of
// addresses with flags ("80,443s", "+80"), so only a plain host:port may be passed to it.
std::optional<std::string> HostOf(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return std::nullopt;
  absl::string_view host = address.substr(0, colon);
  const absl::string_view port = address.substr(colon + 1);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  for (const char c : host) {
    const bool allowed =
        absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || (bracketed && c == ':');
    if (!allowed) return std::nullopt;
  }
  for (const char c : port) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return std::nullopt;
  }
  int number = 0;
  if (!absl::SimpleAtoi(port, &number) || number > 65535) return std::nullopt;
  return std::string(host);
}

// Connects to host:port and closes the connection at once.
void ConnectOnce(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_flags = AI_NUMERICSERV;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* addresses = nullptr;
  if (::getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &addresses) != 0) return;
  const int fd = ::socket(addresses->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd >= 0) {
    (void)::connect(fd, addresses->ai_addr, addresses->ai_addrlen);
    ::close(fd);
  }
  ::freeaddrinfo(addresses);
}

}  // namespace

MetricsServer::MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, std::shared_ptr<ScrapedMetrics> metrics,
                             std::string host, int port)
    : metrics_(std::move(metrics)), exposer_(std::move(exposer)), host_(std::move(host)), port_(port) {}

MetricsServer::~MetricsServer() {
  // civetweb's accepting thread notices that it has to stop only when a client connects, or after up to two seconds,
  // which would delay the exit of every process. So a thread keeps connecting until the exposer is destroyed.
  std::atomic<bool> destroyed{false};
  std::thread connector([&] {
    while (!destroyed) {
      ConnectOnce(host_, port_);
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
  });
  exposer_.reset();
  destroyed = true;
  connector.join();
}

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Create(const MetricRegistry& registry,
                                                                     absl::string_view address) {
  std::optional<std::string> host = HostOf(address);
  if (!host) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics cannot be served at '", address, "': that is not host:port"));
  }
  KeepThreadStacksLarge();
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(std::string(address), /*num_threads=*/2);
    const std::vector<int> ports = exposer->GetListeningPorts();
    if (ports.empty())
      return absl::UnavailableError(absl::StrCat("metrics cannot be served at ", address, ": nothing listens"));
    exposer->RegisterCollectable(registry.scraped());
    return absl::WrapUnique(new MetricsServer(std::move(exposer), registry.scraped(), *std::move(host), ports.front()));
  } catch (const std::exception&) {  // CivetException, without errno
    return absl::UnavailableError(absl::StrCat("metrics cannot be served at ", address,
                                               ": the port is in use or the address is not this machine's"));
  }
}

}  // namespace arcshard
