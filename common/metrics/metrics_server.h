#pragma once

#include <memory>
#include <string>
#include <thread>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/io/file.h"
#include "common/metrics/metrics.h"
#include "common/net/listener.h"

namespace arcshard {

// Serves a registry's metrics over HTTP at /metrics, in Prometheus' text format, until it is destroyed. One thread
// serves all connections without waiting for any of them: each has a few seconds for its request and its answer, and
// when there are many, a new one ends the oldest. So slow clients keep nobody from the answer. Thread-safe.
class MetricsServer {
 public:
  // `address`: host:port, an IPv6 host in brackets; port 0 takes a free one.
  // InvalidArgument: it is not an address. Unavailable: the address is in use or not of this host. Messages name it.
  // `time_for_client`: from a client's connection to its end.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Create(const MetricRegistry& registry,
                                                               absl::string_view address,
                                                               absl::Duration time_for_client = absl::Seconds(10));
  ~MetricsServer();

  int port() const { return port_; }

 private:
  MetricsServer(Listener listener, FileDescriptor wake, std::shared_ptr<ScrapedMetrics> metrics,
                absl::Duration time_for_client);

  const int port_;
  const FileDescriptor wake_;  // an eventfd, readable once the thread has to end
  std::thread thread_;
};

}  // namespace arcshard
