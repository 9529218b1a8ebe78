#include "common/metrics/metrics_server.h"

#include <exception>
#include <utility>
#include <vector>

#include "absl/memory/memory.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "prometheus/exposer.h"

namespace arcshard {
namespace {

// civetweb takes lists of addresses with flags ("80,443s", "+80"): only a plain host:port may reach it.
bool IsHostAndPort(absl::string_view address) {
  const size_t colon = address.rfind(':');
  if (colon == absl::string_view::npos || colon == 0) return false;
  const absl::string_view host = address.substr(0, colon);
  const absl::string_view port = address.substr(colon + 1);
  const bool bracketed = host.front() == '[' && host.back() == ']';
  for (const char c : bracketed ? host.substr(1, host.size() - 2) : host) {
    const bool allowed =
        absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '.' || c == '-' || (bracketed && c == ':');
    if (!allowed) return false;
  }
  for (const char c : port) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) return false;
  }
  int number = 0;
  return absl::SimpleAtoi(port, &number) && number <= 65535;
}

}  // namespace

MetricsServer::MetricsServer(std::unique_ptr<prometheus::Exposer> exposer,
                             std::shared_ptr<prometheus::Registry> registry, int port)
    : registry_(std::move(registry)), exposer_(std::move(exposer)), port_(port) {}

MetricsServer::~MetricsServer() = default;

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Create(const MetricRegistry& registry,
                                                                     absl::string_view address) {
  if (!IsHostAndPort(address)) {
    return absl::InvalidArgumentError(
        absl::StrCat("metrics cannot be served at '", address, "': that is not host:port"));
  }
  try {
    auto exposer = std::make_unique<prometheus::Exposer>(std::string(address), /*num_threads=*/2);
    const std::vector<int> ports = exposer->GetListeningPorts();
    if (ports.empty())
      return absl::UnavailableError(absl::StrCat("metrics cannot be served at ", address, ": nothing listens"));
    exposer->RegisterCollectable(registry.prometheus_registry());
    return absl::WrapUnique(new MetricsServer(std::move(exposer), registry.prometheus_registry(), ports.front()));
  } catch (const std::exception&) {  // CivetException, without errno
    return absl::UnavailableError(absl::StrCat("metrics cannot be served at ", address,
                                               ": the port is in use or the address is not this machine's"));
  }
}

}  // namespace arcshard
