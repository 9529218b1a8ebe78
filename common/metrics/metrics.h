#pragma once

#include <functional>
#include <memory>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "common/base/mutex.h"
#include "prometheus/collectable.h"
#include "prometheus/counter.h"
#include "prometheus/family.h"
#include "prometheus/gauge.h"
#include "prometheus/histogram.h"
#include "prometheus/registry.h"

// The building blocks of metrics; metric_list.h lists the metrics. A process creates one MetricRegistry and passes it
// on. Metrics are added at the start, on one thread. All other calls are thread-safe; using a handle (Counter&, Gauge&,
// Histogram&) costs an atomic operation or a short lock.
namespace arcshard {

using prometheus::Counter;
using prometheus::Gauge;
using prometheus::Histogram;

struct MetricDescription {
  std::string name;  // by Prometheus' rules: arcshard_ first, base units, _total for counters
  std::string unit;  // "seconds", "bytes", "steps"; empty: a bare number
  std::string help;
  std::string label = {};  // splits it into one series per value; empty: a single series
};

// The metrics of one name, one for each value of its label. With(value) is a thread-safe lookup; hot code keeps the
// reference, which is valid as long as the registry lives.
template <typename T>
class LabelledMetric {
 public:
  LabelledMetric(prometheus::Family<T>* family, std::string label, Histogram::BucketBoundaries buckets = {})
      : family_(family), label_(std::move(label)), buckets_(std::move(buckets)) {}

  T& With(absl::string_view value) {
    if constexpr (std::is_same_v<T, Histogram>) {
      return family_->Add({{label_, std::string(value)}}, buckets_);
    } else {
      return family_->Add({{label_, std::string(value)}});
    }
  }

 private:
  prometheus::Family<T>* const family_;
  const std::string label_;
  const Histogram::BucketBoundaries buckets_;  // of histograms
};

// Serves a registry's metrics to scrapes, after running the updates of BeforeScrape. Thread-safe.
class ScrapedMetrics final : public prometheus::Collectable {
 public:
  explicit ScrapedMetrics(std::shared_ptr<prometheus::Registry> registry) : registry_(std::move(registry)) {}

  void Before(std::function<void()> update) {
    MutexLock lock(&mutex_);
    updates_.push_back(std::move(update));
  }
  std::vector<prometheus::MetricFamily> Collect() const override {
    MutexLock lock(&mutex_);
    for (const std::function<void()>& update : updates_) update();
    return registry_->Collect();
  }

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  mutable Mutex mutex_;
  std::vector<std::function<void()>> updates_ ABSL_GUARDED_BY(mutex_);
};

class MetricRegistry {
 public:
  Counter& AddCounter(MetricDescription description);
  Gauge& AddGauge(MetricDescription description);
  LabelledMetric<Counter> AddCounters(MetricDescription description);
  LabelledMetric<Gauge> AddGauges(MetricDescription description);
  Histogram& AddHistogram(MetricDescription description, const Histogram::BucketBoundaries& buckets);
  LabelledMetric<Histogram> AddHistograms(MetricDescription description, Histogram::BucketBoundaries buckets);

  // Calls `update` before each scrape, for values that are cheaper to read then than to track. The updates run one at a
  // time, on the threads that serve scrapes. Whatever `update` uses must outlive every MetricsServer of this registry.
  // Thread-safe.
  void BeforeScrape(std::function<void()> update) { scraped_->Before(std::move(update)); }

  // The metrics that were added, in order.
  const std::vector<MetricDescription>& descriptions() const { return descriptions_; }
  const std::shared_ptr<ScrapedMetrics>& scraped() const { return scraped_; }

 private:
  const std::shared_ptr<prometheus::Registry> registry_ = std::make_shared<prometheus::Registry>();
  const std::shared_ptr<ScrapedMetrics> scraped_ = std::make_shared<ScrapedMetrics>(registry_);
  std::vector<MetricDescription> descriptions_;
};

// The bounds of a histogram's buckets: `first`, and each `factor` times the one before.
Histogram::BucketBoundaries ExponentialBuckets(double first, double factor, int count);

// This build's version, such as "0.1.0".
absl::string_view BuildVersion();

}  // namespace arcshard
