#pragma once

#include "common/metrics/metric_list.h"
#include "common/rpc/security/security.h"

namespace arcshard {

// Shows in each scrape when this process's certificate expires, and whether its files can be used. `metrics` outlives
// every MetricsServer of its registry. Without TLS both metrics stay 0.
void MeterTls(const Security& security, ProcessMetrics* metrics);

}  // namespace arcshard
