#pragma once

#include <base/async/task_scope.hpp>
#include <base/config/units.hpp>
#include <base/http/socket.hpp>
#include <base/log.hpp>
#include <base/metrics.hpp>

namespace apps {

/// GET /metrics over HTTP, for a daemon that has no API. Whoever reaches the address may read.
class MetricsPage {
 public:
  static constexpr std::size_t kConnectionsMax = 16;

  /// `metrics` outlives it. Errors: those of base::http::listen_tcp.
  static base::Result<std::unique_ptr<MetricsPage>> open(const base::Executor& executor,
                                                         const base::config::Endpoint& address,
                                                         base::Metrics& metrics, base::Log log);
  /// Await before it goes.
  base::Task<> stop();
  std::string address() const { return listener_->address(); }

 private:
  MetricsPage(const base::Executor& executor, std::unique_ptr<base::http::Listener> listener,
              base::Metrics& metrics, base::Log log);
  base::Task<> accept();
  base::Task<> serve(std::unique_ptr<base::ByteStream> stream);

  std::unique_ptr<base::http::Listener> listener_;
  base::Metrics& metrics_;
  base::Log log_;
  base::TaskScope accepting_, serving_;
};

}  // namespace apps
