#pragma once

#include <array>
#include <base/metrics.hpp>
#include <base/time.hpp>
#include <map>
#include <string>

namespace stoq::rpc {

/// How many calls of each method ended how, and how long they took. Used from one thread at a time.
class CallMetrics {
 public:
  /// `side` is "client" or "server". `metrics` may be null, which counts nothing.
  CallMetrics(base::Metrics* metrics, std::string side);

  class Of {
   public:
    /// `error` null: success.
    void count(const base::Error* error, base::Duration took);

   private:
    friend class CallMetrics;
    base::Metrics* metrics_ = nullptr;
    base::MetricLabels labels_;
    base::Histogram* seconds_ = nullptr;
    base::Counter* succeeded_ = nullptr;
  };
  /// Lives as long as this.
  Of& of(std::string_view method);

 private:
  base::Metrics* metrics_;
  std::string side_;
  std::map<std::string, Of, std::less<>> methods_;
  Of none_;
};

}  // namespace stoq::rpc
