#include "common/metrics/metrics.h"

namespace arcshard {

Counter& MetricRegistry::AddCounter(MetricDescription description) {
  descriptions_.push_back(description);
  return prometheus::BuildCounter().Name(description.name).Help(description.help).Register(*registry_).Add({});
}

Gauge& MetricRegistry::AddGauge(MetricDescription description) {
  descriptions_.push_back(description);
  return prometheus::BuildGauge().Name(description.name).Help(description.help).Register(*registry_).Add({});
}

Histogram& MetricRegistry::AddHistogram(MetricDescription description, const Histogram::BucketBoundaries& buckets) {
  descriptions_.push_back(description);
  return prometheus::BuildHistogram()
      .Name(description.name)
      .Help(description.help)
      .Register(*registry_)
      .Add({}, buckets);
}

LabelledMetric<Counter> MetricRegistry::AddCounters(MetricDescription description) {
  descriptions_.push_back(description);
  return {&prometheus::BuildCounter().Name(description.name).Help(description.help).Register(*registry_),
          description.label};
}

LabelledMetric<Gauge> MetricRegistry::AddGauges(MetricDescription description) {
  descriptions_.push_back(description);
  return {&prometheus::BuildGauge().Name(description.name).Help(description.help).Register(*registry_),
          description.label};
}

LabelledMetric<Histogram> MetricRegistry::AddHistograms(MetricDescription description,
                                                        Histogram::BucketBoundaries buckets) {
  descriptions_.push_back(description);
  return {&prometheus::BuildHistogram().Name(description.name).Help(description.help).Register(*registry_),
          description.label, std::move(buckets)};
}

Histogram::BucketBoundaries ExponentialBuckets(double first, double factor, int count) {
  Histogram::BucketBoundaries buckets;
  for (double bound = first; count > 0; --count, bound *= factor) buckets.push_back(bound);
  return buckets;
}

absl::string_view BuildVersion() { return ARCSHARD_VERSION; }

}  // namespace arcshard
