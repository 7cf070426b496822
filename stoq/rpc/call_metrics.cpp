#include "rpc/call_metrics.hpp"

namespace stoq::rpc {
namespace {

constexpr std::string_view kCalls = "stoq_rpc_calls_total",
                           kCallsHelp = "Calls that ended, by method, side and status",
                           kSeconds = "stoq_rpc_seconds",
                           kSecondsHelp = "Time from a call's begin to its end, in seconds";

// A call inside a site takes less than a millisecond.
const std::vector<double> kBounds{0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05,
                                  0.1,    0.25,    0.5,    1,     2.5,    5,     10,   30,    60};

}  // namespace

CallMetrics::CallMetrics(base::Metrics* metrics, std::string side)
    : metrics_(metrics), side_(std::move(side)) {}

CallMetrics::Of& CallMetrics::of(std::string_view method) {
  if (metrics_ == nullptr) return none_;
  if (const auto known = methods_.find(method); known != methods_.end()) return known->second;
  Of& made = methods_[std::string(method)];
  made.metrics_ = metrics_;
  made.labels_ = {{"method", std::string(method)}, {"side", side_}};
  made.seconds_ = &metrics_->histogram(kSeconds, kSecondsHelp, made.labels_, kBounds);
  auto labels = made.labels_;
  labels["status"] = "OK";
  made.succeeded_ = &metrics_->counter(kCalls, kCallsHelp, labels);
  return made;
}

void CallMetrics::Of::count(const base::Error* error, base::Duration took) {
  if (metrics_ == nullptr) return;
  seconds_->observe(std::chrono::duration<double>(took).count());
  if (error == nullptr) {
    succeeded_->add();
    return;
  }
  auto labels = labels_;
  labels["status"] = base::to_string(error->code);
  metrics_->counter(kCalls, kCallsHelp, labels).add();
}

}  // namespace stoq::rpc
