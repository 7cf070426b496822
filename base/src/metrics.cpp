#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <base/metrics.hpp>
#include <list>
#include <mutex>

namespace base {
namespace {

struct PrometheusCounter final : Counter {
  explicit PrometheusCounter(prometheus::Counter& c) : counter(c) {}
  void add(double amount) override { counter.Increment(amount); }
  prometheus::Counter& counter;
};
struct PrometheusGauge final : Gauge {
  explicit PrometheusGauge(prometheus::Gauge& g) : gauge(g) {}
  void set(double value) override { gauge.Set(value); }
  void add(double amount) override { gauge.Increment(amount); }
  prometheus::Gauge& gauge;
};
struct PrometheusHistogram final : Histogram {
  explicit PrometheusHistogram(prometheus::Histogram& h) : histogram(h) {}
  void observe(double value) override { histogram.Observe(value); }
  prometheus::Histogram& histogram;
};

// The library hands out one object for one name and label set; a handle of ours is kept for each.
template <class Handle, class Theirs>
class Handles {
 public:
  Handle& of(Theirs& theirs) {
    auto& slot = handles_[&theirs];
    if (!slot) slot = std::make_unique<Handle>(theirs);
    return *slot;
  }

 private:
  std::map<Theirs*, std::unique_ptr<Handle>> handles_;
};

class PrometheusMetrics final : public Metrics {
 public:
  explicit PrometheusMetrics(std::set<std::string> hidden) : hidden_(std::move(hidden)) {}

  Counter& counter(std::string_view name, std::string_view help,
                   const MetricLabels& labels) override {
    const std::lock_guard lock(mutex_);
    return counters_.of(prometheus::BuildCounter()
                            .Name(std::string(name))
                            .Help(std::string(help))
                            .Register(registry_)
                            .Add(labels));
  }
  Gauge& gauge(std::string_view name, std::string_view help, const MetricLabels& labels) override {
    const std::lock_guard lock(mutex_);
    return gauges_.of(prometheus::BuildGauge()
                          .Name(std::string(name))
                          .Help(std::string(help))
                          .Register(registry_)
                          .Add(labels));
  }
  Histogram& histogram(std::string_view name, std::string_view help, const MetricLabels& labels,
                       std::vector<double> bounds) override {
    if (bounds.empty())
      bounds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60};
    const std::lock_guard lock(mutex_);
    return histograms_.of(prometheus::BuildHistogram()
                              .Name(std::string(name))
                              .Help(std::string(help))
                              .Register(registry_)
                              .Add(labels, bounds));
  }
  std::unique_ptr<Refresh> before_exposing(std::function<void()> refresh) override {
    const std::lock_guard lock(refreshes_mutex_);
    refreshes_.push_back(std::move(refresh));
    return std::make_unique<Registration>(*this, std::prev(refreshes_.end()));
  }
  std::string expose() const override {
    {
      const std::lock_guard lock(refreshes_mutex_);
      for (const auto& refresh : refreshes_) refresh();
    }
    const std::lock_guard lock(mutex_);
    auto families = registry_.Collect();
    std::erase_if(families, [&](const auto& family) { return hidden_.contains(family.name); });
    return prometheus::TextSerializer().Serialize(families);
  }

 private:
  using Refreshes = std::list<std::function<void()>>;
  struct Registration final : Refresh {
    Registration(PrometheusMetrics& metrics, Refreshes::iterator at) : metrics(metrics), at(at) {}
    ~Registration() override {
      const std::lock_guard lock(metrics.refreshes_mutex_);
      metrics.refreshes_.erase(at);
    }
    PrometheusMetrics& metrics;
    Refreshes::iterator at;
  };

  const std::set<std::string> hidden_;
  mutable std::mutex refreshes_mutex_;
  Refreshes refreshes_;  // Guarded by refreshes_mutex_.
  mutable std::mutex mutex_;
  prometheus::Registry registry_{
      prometheus::Registry::InsertBehavior::Merge};                 // Guarded by mutex_.
  Handles<PrometheusCounter, prometheus::Counter> counters_;        // Guarded by mutex_.
  Handles<PrometheusGauge, prometheus::Gauge> gauges_;              // Guarded by mutex_.
  Handles<PrometheusHistogram, prometheus::Histogram> histograms_;  // Guarded by mutex_.
};

}  // namespace

std::unique_ptr<Metrics> make_prometheus_metrics(std::set<std::string> hidden) {
  return std::make_unique<PrometheusMetrics>(std::move(hidden));
}

}  // namespace base
