#pragma once

#include <base/metrics.hpp>
#include <base/random.hpp>
#include <stoq/rpc.hpp>

#include "rpc/call_metrics.hpp"
#include "rpc/deadlines.hpp"

namespace stoq::rpc {

/// What calls of one executor share at their callers' side. The clock and the metrics outlive it.
class Calls : public std::enable_shared_from_this<Calls> {
 public:
  Calls(const base::Executor& executor, const base::Clock& clock, base::Metrics* metrics);

  base::MonotonicTime now() const { return deadlines_->clock().now(); }
  base::MonotonicTime deadline(const Method& method, const CallOptions& options) const;

  /// Opens a stream for a call and begins it. `lease` is let go with the call.
  base::Task<base::Result<std::unique_ptr<OpenCall>>> open(std::shared_ptr<Connection> connection,
                                                           const Method& method,
                                                           const CallOptions& options,
                                                           base::MonotonicTime deadline,
                                                           std::shared_ptr<void> lease);

  const std::shared_ptr<Deadlines>& deadlines() const { return deadlines_; }
  CallMetrics& metrics() { return metrics_; }
  /// Of `context`, or a new one.
  Trace trace(const Context& context);

 private:
  std::shared_ptr<Deadlines> deadlines_;
  CallMetrics metrics_;
  base::SeededRng rng_;  // Trace ids need no secrecy.
};

}  // namespace stoq::rpc
