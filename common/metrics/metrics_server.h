#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "common/metrics/metrics.h"

namespace prometheus {
class Exposer;
}

namespace arcshard {

// Serves a registry's metrics over HTTP at /metrics, in Prometheus' text format, until it is destroyed. Scrapes run on
// two threads of its own. Thread-safe.
class MetricsServer {
 public:
  // `address`: host:port, an IPv6 host in brackets; port 0 takes a free one.
  // InvalidArgument: it is not an address. Unavailable: the address is in use or not of this host. Messages name it.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Create(const MetricRegistry& registry,
                                                               absl::string_view address);
  ~MetricsServer();

  int port() const { return port_; }

 private:
  MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, std::shared_ptr<ScrapedMetrics> metrics, std::string host,
                int port);

  std::shared_ptr<ScrapedMetrics> metrics_;  // the exposer does not own it
  std::unique_ptr<prometheus::Exposer> exposer_;
  std::string host_;  // without brackets
  int port_;
};

}  // namespace arcshard
