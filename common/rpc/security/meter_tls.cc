#include "common/rpc/security/meter_tls.h"

#include "absl/time/time.h"

namespace arcshard {

void MeterTls(const Security& security, ProcessMetrics* metrics) {
  if (!security.tls()) return;
  metrics->registry->BeforeScrape([security, metrics] {
    metrics->certificate_expiry.Set(static_cast<double>(absl::ToUnixSeconds(security.valid_until())));
    metrics->certificate_refused.Set(security.refused_files().ok() ? 0 : 1);
  });
}

}  // namespace arcshard
