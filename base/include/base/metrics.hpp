#pragma once

// One registry for a process; Prometheus text exposition. Names carry the layer and the unit:
// stoq_throughput_gbps, nexus_dns_resolution_time_seconds, hypermesh_container_start_time_seconds.

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <vector>

namespace base {

using MetricLabels = std::map<std::string, std::string>;

class Counter {
 public:
  virtual ~Counter() = default;
  virtual void add(double amount = 1) = 0;
};
class Gauge {
 public:
  virtual ~Gauge() = default;
  virtual void set(double value) = 0;
  virtual void add(double amount) = 0;
};
class Histogram {
 public:
  virtual ~Histogram() = default;
  virtual void observe(double value) = 0;
};

/// Thread safe. Handles are borrowed from the registry and live as long as it does; asking twice
/// for the same name and labels gives the same metric.
class Metrics {
 public:
  virtual ~Metrics() = default;
  virtual Counter& counter(std::string_view name, std::string_view help,
                           const MetricLabels& labels = {}) = 0;
  virtual Gauge& gauge(std::string_view name, std::string_view help,
                       const MetricLabels& labels = {}) = 0;
  /// `bounds`: upper bounds of the buckets, ascending; empty gives 1 ms to 60 s, for seconds.
  virtual Histogram& histogram(std::string_view name, std::string_view help,
                               const MetricLabels& labels = {},
                               std::vector<double> bounds = {}) = 0;
  /// As long as it lives, what it was given for is called.
  class Refresh {
   public:
    virtual ~Refresh() = default;
  };
  /// `refresh` is called before each exposition, on the thread that exposes: for what need not be
  /// known in between. Until the answer goes, which waits for a call under way.
  [[nodiscard]] virtual std::unique_ptr<Refresh> before_exposing(std::function<void()> refresh) = 0;
  /// The exposition format, version 0.0.4.
  virtual std::string expose() const = 0;
};

/// Metrics whose names are in `hidden` are counted, but not shown.
std::unique_ptr<Metrics> make_prometheus_metrics(std::set<std::string> hidden = {});

}  // namespace base
